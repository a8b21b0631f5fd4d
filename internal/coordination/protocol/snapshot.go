package protocol

import (
	"fmt"
	"math"
	"time"
)

// Snapshot is what a coordinator leaves to the one that leads after it.
type Snapshot struct {
	// Epoch of the leader: in Start the one that begins, in Snapshot the one that ran.
	Epoch int64 `json:"epoch"`
	// LeaseLifetime is how long the longest grant may still hold, clock drift included.
	LeaseLifetime time.Duration `json:"leaseLifetime"`
	// Path is absent, and Groups with it, until something was granted.
	Path   *PathSnapshot   `json:"path,omitempty"`
	Groups []GroupSnapshot `json:"groups,omitempty"`
}

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

// Validate finds what no leader can have left.
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

// MaxMembers bounds the prefixes recorded with their groups. Groups that do not fit
// are found again.
const MaxMembers = 4096

// MaxGroups bounds the groups of a domain.
const MaxGroups = 64

// SizeClasses covers requests of up to 2^62 bytes in steps of a factor of four.
const SizeClasses = 32
