package protocol

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"time"
	"unicode/utf8"
)

const (
	// snapshotVersion is the version of the encoding. A snapshot of another version is not
	// read: what it holds is soon measured again.
	snapshotVersion = 1
	// longestSnapshot in bytes is read; the API stores less.
	longestSnapshot = 1 << 20
	// FastestRate in requests per second, widest in bytes per second and slowestLatency
	// bound what a snapshot can make a new leader believe.
	FastestRate    = 1e6
	widest         = 1e12
	slowestLatency = 10 * time.Minute
)

// versioned is a snapshot as it is encoded.
type versioned struct {
	Version int `json:"version"`
	Snapshot
}

// EncodeSnapshot writes a snapshot in at most so many bytes. If the groups do not fit, it
// leaves out those with the fewest accepted requests, until the rest fits: their rates are
// measured again. It returns nil if not even the path fits.
func EncodeSnapshot(s Snapshot, most int) []byte {
	order := make([]int, len(s.Groups)) // the group to be left out first comes first
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(min(j, 1), min(i, 1)), cmp.Compare(s.Groups[i].GoodRate, s.Groups[j].GoodRate), cmp.Compare(j, i))
	})
	// The more are left out, the shorter it gets.
	out := sort.Search(len(order)+1, func(out int) bool {
		text := encodeSnapshot(s.without(order[:out]))
		return text != nil && len(text) <= most
	})
	if out > len(order) {
		return nil
	}
	return encodeSnapshot(s.without(order[:out]))
}

// without gives the snapshot with some of its groups left out.
func (s Snapshot) without(out []int) Snapshot {
	groups := s.Groups
	s.Groups = nil
	for i, g := range groups {
		if !slices.Contains(out, i) {
			s.Groups = append(s.Groups, g)
		}
	}
	return s
}

// encodeSnapshot gives nothing for what holds numbers that JSON does not know.
func encodeSnapshot(s Snapshot) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false) // names may be full of < and >, which would be six bytes each
	if err := e.Encode(versioned{snapshotVersion, s}); err != nil {
		return nil
	}
	return bytes.TrimSpace(out.Bytes())
}

// DecodeSnapshot reads what EncodeSnapshot wrote. Absurd values are bounded to what Start
// accepts. If nothing could be read it returns an error and an empty snapshot, with which a
// leader can start nevertheless.
func DecodeSnapshot(text []byte) (Snapshot, error) {
	if len(text) > longestSnapshot {
		return Snapshot{}, fmt.Errorf("read snapshot: it has %d bytes, at most %d are read", len(text), longestSnapshot)
	}
	var v versioned
	if err := json.Unmarshal(text, &v); err != nil {
		return Snapshot{}, fmt.Errorf("read snapshot: %w", err)
	}
	if v.Version != snapshotVersion {
		return Snapshot{}, fmt.Errorf("read snapshot: its version is %d, only %d is known", v.Version, snapshotVersion)
	}
	s := v.Snapshot
	s.bound()
	if s.Path != nil {
		if err := s.Validate(); err != nil {
			return Snapshot{}, errors.Join(errors.New("read snapshot"), err)
		}
	}
	return s, nil
}

// bound replaces impossible values by the nearest possible ones.
func (s *Snapshot) bound() {
	s.Epoch = max(s.Epoch, 0)
	s.LeaseLifetime = min(max(s.LeaseLifetime, 0), Lifetime(longestLease))
	if s.Known != nil {
		s.Known.bound()
	}
	if s.Path == nil {
		s.Groups = nil
		return
	}
	p := s.Path
	p.Window = min(max(p.Window, 1), MaxWindow)
	p.Threshold = min(max(p.Threshold, 1), MaxWindow)
	p.GoodWindow = min(max(p.GoodWindow, 0), MaxWindow)
	p.State = p.State.known()
	p.Profile.bound()
	s.Groups = s.Groups[:min(len(s.Groups), MaxGroups)]
	left := MaxMembers
	for i := range s.Groups {
		g := &s.Groups[i]
		g.State = g.State.known()
		g.Name = Truncate(g.Name, MaxPrefixLength)
		g.Rate, g.GoodRate = bounded(g.Rate, FastestRate), bounded(g.GoodRate, FastestRate)
		g.Members = slices.DeleteFunc(g.Members, func(m Member) bool {
			return m.Transfer == "" || m.Prefix == "" || len(m.Prefix) > MaxPrefixLength || !utf8.ValidString(m.Prefix)
		})
		g.Members = g.Members[:min(len(g.Members), left)]
		left -= len(g.Members)
	}
}

func (p *NetworkProfile) bound() {
	p.BaseLatency = min(max(p.BaseLatency, 0), slowestLatency)
	p.SizeClass = min(max(p.SizeClass, 0), SizeClasses-1)
	p.Bandwidth, p.RequestRate = bounded(p.Bandwidth, widest), bounded(p.RequestRate, FastestRate)
	p.Trend = min(max(p.Trend, -1), 1)
	p.Confidence = bounded(p.Confidence, 1)
	p.Samples = min(max(p.Samples, 0), MaxNumber)
}

// bounded limits a figure to between 0 and the most; NaN becomes 0.
func bounded(value, most float64) float64 {
	if math.IsNaN(value) || value < 0 {
		return 0
	}
	return min(value, most)
}
