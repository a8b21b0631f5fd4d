package protocol

import (
	"fmt"
	"math"
	"time"
)

// Snapshot is what a leader leaves to the next one.
type Snapshot struct {
	// Epoch of the leader: in Start the one that begins, in Snapshot the one that ran.
	Epoch int64 `json:"epoch"`
	// LeaseLifetime is how long the longest grant may still hold, clock drift included.
	LeaseLifetime time.Duration `json:"leaseLifetime"`
	// Path is absent, and Groups with it, until something was granted.
	Path   *PathSnapshot   `json:"path,omitempty"`
	Groups []GroupSnapshot `json:"groups,omitempty"`
	// Known is what the destination is known for: the profile of the path once it rests on
	// enough rounds, until then that of before.
	Known *NetworkProfile `json:"known,omitempty"`
}

// AtRest is a snapshot of a destination to which nobody holds a grant any more, with which a
// leader begins as far as it trusts what is known.
func (s Snapshot) AtRest() Snapshot { return Snapshot{Epoch: s.Epoch, Known: s.Known} }

// PathSnapshot is the state of the window that all groups share.
type PathSnapshot struct {
	// Window in requests in flight; GoodWindow held in the last clean and loaded round.
	Window     int            `json:"window"`
	State      State          `json:"state"`
	Threshold  int            `json:"threshold"`
	GoodWindow int            `json:"goodWindow,omitempty"`
	Profile    NetworkProfile `json:"profile"`
}

// GroupSnapshot is the state of the rate of one group.
type GroupSnapshot struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	// Rate in requests per second, 0 for none; GoodRate was accepted in the last
	// clean and loaded round.
	Rate     float64 `json:"rate,omitempty"`
	GoodRate float64 `json:"goodRate,omitempty"`
	// Members are the prefixes of the group, but for the first group, which has all
	// that are in no other.
	Members []Member `json:"members,omitempty"`
}

// Member names a prefix of a transfer.
type Member struct {
	Transfer TransferID `json:"transfer"`
	Prefix   string     `json:"prefix"`
}

// NetworkProfile is what was learned of the path to a group's destination.
type NetworkProfile struct {
	// BaseLatency is the median duration of an attempt that waits in no queue.
	BaseLatency time.Duration `json:"baseLatency"`
	// SizeClass is the size of request that BaseLatency is true of: about
	// 4^SizeClass bytes.
	SizeClass int `json:"sizeClass"`
	// Bandwidth in bytes per second and RequestRate in accepted requests per
	// second are exponentially weighted means over rounds that were not limited
	// by the sender; a new round weighs LearningRate.
	Bandwidth   float64 `json:"bandwidth"`
	RequestRate float64 `json:"requestRate"`
	// Trend is the mean change of the bandwidth from round to round, relative to
	// it, weighted likewise.
	Trend float64 `json:"trend"`
	// Confidence from 0 to 1 grows with the number of rounds measured and shrinks
	// with their scatter: min(1, n/20) / (1 + v²), where v is the standard
	// deviation of the last 20 rounds over their mean.
	Confidence float64 `json:"confidence"`
	// Samples counts the rounds measured.
	Samples int64 `json:"samples"`
}

const (
	// EnoughSamples is how many rounds a profile rests on before it takes the place of another:
	// as many as full confidence needs.
	EnoughSamples = 20
	// memoryHalfLife is the age at which half of a profile's confidence is left: what else uses a
	// path changes by the hour of the day, and comes back with it.
	memoryHalfLife = 24 * time.Hour
	// knownShare of the window that a destination is known for is the one to begin with. Three
	// doublings of slow start find the rest; and what is known to be ten times too much then
	// exceeds the truth by no more than slow start does, which goes up to twice too far.
	knownShare = 0.125
	// knownMost times the window of a cold start is the largest to begin with, whatever is known:
	// three doublings are as many rounds as a start can gain without a risk of many.
	knownMost = 8
)

// Forgotten is an age at which nothing is left of a profile.
const Forgotten = 1 << 16 * time.Hour

// Aged is the profile after a time in which nothing was measured.
func (p NetworkProfile) Aged(age time.Duration) NetworkProfile {
	p.Confidence *= math.Exp2(-max(0, age).Hours() / memoryHalfLife.Hours())
	return p
}

// Window is the window to begin slow start with, where a cold start begins with another: a part of
// that which by Little's law carries what the destination is known to carry, the nearer to that part the
// more certain it is. It is never smaller: a profile that says too little costs nothing.
func (p NetworkProfile) Window(cold int) int {
	pipe := knownShare * p.RequestRate * p.BaseLatency.Seconds()
	if !(pipe > float64(cold)) {
		return cold
	}
	trust := min(max(p.Confidence, 0), 1)
	return int(float64(cold) * min(math.Pow(pipe/float64(cold), trust), knownMost))
}

// Validate returns an error for a snapshot that no leader can have left.
func (s Snapshot) Validate() error {
	p := s.Path.Profile
	finite := []float64{p.Bandwidth, p.RequestRate, p.Trend, p.Confidence}
	members := 0
	for _, g := range s.Groups {
		finite = append(finite, g.Rate, g.GoodRate)
		if g.Rate < 0 || g.GoodRate < 0 {
			return fmt.Errorf("restore group %s: a rate is negative", g.Name)
		}
		members += len(g.Members)
	}
	for _, x := range finite {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("restore what epoch %d recorded: a number of it is not finite", s.Epoch)
		}
	}
	if s.Path.Window < 1 || s.Path.Window > MaxWindow || len(s.Groups) > MaxGroups || members > MaxMembers {
		return fmt.Errorf("restore what epoch %d recorded: window %d, %d groups or %d members are out of bounds",
			s.Epoch, s.Path.Window, len(s.Groups), members)
	}
	return nil
}

// MaxMembers bounds the prefixes recorded with their groups. Groups that do not fit are
// discovered again.
const MaxMembers = 4096

// MaxGroups bounds the groups of a domain.
const MaxGroups = 64

// SizeClasses covers requests of up to 2^62 bytes in steps of a factor of four.
const SizeClasses = 32
