package protocol

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Strategy chooses how the window of a group is divided over its prefixes.
type Strategy string

const (
	// TCPLike gives every prefix a window of its own, grown and cut like a TCP
	// flow's, and scales them so that their sum is the domain's window. It suits prefixes
	// that are policed separately and change so fast that halving at a 503 beats
	// measuring their rates; it favors prefixes that are seldom throttled.
	TCPLike Strategy = "TCPLike"
	// FairShare fills the demand of the prefixes evenly, by weight. It is right where
	// all prefixes should progress equally, whatever it costs.
	FairShare Strategy = "FairShare"
	// Adaptive shares as FairShare does until prefixes differ clearly in what a
	// further slot adds to their goodput, and then by that, never below a quarter of
	// the fair share. It is right where it is unknown whether some prefixes have a queue
	// of their own, which more slots only lengthen.
	Adaptive Strategy = "Adaptive"
)

// BandwidthStrategy chooses how the paced rate of a group is divided.
type BandwidthStrategy string

const (
	// BandwidthFairShare divides the rate by weight.
	BandwidthFairShare BandwidthStrategy = "FairShare"
	// BandwidthProportional divides the rate in proportion to the windows.
	BandwidthProportional BandwidthStrategy = "Proportional"
)

// Config holds the parameters of a transfer's coordination. The zero value is
// not valid; DefaultConfig gives the defaults.
type Config struct {
	// PipelineDepth is how many archives are assigned ahead to a worker for each prefix
	// that it serves, divided over these by the windows that it has on them, and more
	// where it ends them faster than they are assigned.
	PipelineDepth int
	// GlobalCongestionWindow is the window, in requests in flight over all
	// workers, at which a group begins.
	GlobalCongestionWindow int
	// SlowStartThreshold is the window below which slow start keeps doubling
	// unconditionally: measurements of so few requests are too noisy to stop at.
	SlowStartThreshold int
	// Strategy divides windows, BandwidthStrategy divides rates.
	Strategy          Strategy
	BandwidthStrategy BandwidthStrategy
	// MaxActivePrefixes is the most prefixes of the transfer that hold a window at once.
	MaxActivePrefixes int
	// UpdateInterval is the period of Tick, and the shortest report interval.
	UpdateInterval time.Duration
	// LeaseDuration is how long a grant holds.
	LeaseDuration time.Duration
	// CoastingTime is for how long after its lease a worker goes on without a manager.
	CoastingTime time.Duration
	// AdvancedFlowControl adds the paced rate and probing to the window.
	AdvancedFlowControl bool
	// LearningRate in (0, 1] weighs a new measurement against the learned trend.
	LearningRate float64
	// BandwidthProbingRate in (0, 1] is the first step by which a probe raises the rate.
	BandwidthProbingRate float64
	// CongestionSensitivity in [0, 1): throttled shares above
	// 0.1 (1 - CongestionSensitivity) count as congestion.
	CongestionSensitivity float64
	// RecoveryAggressiveness in [0.1, 10] scales growth per clean round below the threshold.
	RecoveryAggressiveness float64
	// Uncoordinated fixes the windows instead of controlling them.
	Uncoordinated bool
	// MaxPrefixes and MaxConcurrentUploads are, when Uncoordinated, how many
	// prefixes each worker sends to and its window on each.
	MaxPrefixes          int
	MaxConcurrentUploads int
	// MaxAttempts is how many workers may try an archive before it counts as failed.
	MaxAttempts int
}

// Bounds that hold whatever the configuration. A lease stays below 13 kB in the
// API because of the first three.
const (
	// MaxPrefixesPerWorker is the most prefixes that one grant gives anything on.
	MaxPrefixesPerWorker = 64
	// MaxPipelineDepth is the most archives assigned to one worker on one prefix, as
	// many as a grant can list.
	MaxPipelineDepth = 64
	// MaxOutstanding is the most archives assigned to one worker in all.
	MaxOutstanding = 128
	// MaxWindow is the largest window of a group, in requests in flight.
	MaxWindow = 100_000
	// MaxPrefixes is the most prefixes of one transfer.
	MaxPrefixes = 1024
	// MaxPrefixLength is the longest name of a prefix, in bytes.
	MaxPrefixLength = 255
	// MaxFailures is how many failed archives of a prefix are kept with their reason.
	MaxFailures = 32
	// MaxMessage is the longest message kept, in bytes.
	MaxMessage = 512
	// longestLease is the longest that a lease may be configured to hold.
	longestLease = time.Hour
	// longestCoasting is the longest that a worker may be configured to go on without a
	// manager. Half of the window of one that vanished stays charged for as long.
	longestCoasting = 24 * time.Hour
)

// DefaultConfig gives the defaults of every parameter.
func DefaultConfig() Config {
	return Config{
		PipelineDepth:          16,
		GlobalCongestionWindow: 32,
		SlowStartThreshold:     16,
		Strategy:               Adaptive,
		BandwidthStrategy:      BandwidthFairShare,
		MaxActivePrefixes:      16,
		UpdateInterval:         2 * time.Second,
		LeaseDuration:          30 * time.Second,
		CoastingTime:           time.Hour,
		AdvancedFlowControl:    true,
		LearningRate:           0.1,
		BandwidthProbingRate:   0.05,
		CongestionSensitivity:  0.8,
		RecoveryAggressiveness: 1.2,
		MaxPrefixes:            4,
		MaxConcurrentUploads:   3,
		MaxAttempts:            10,
	}
}

// Validate returns an error that names every parameter that is out of bounds, and its bounds.
func (c Config) Validate() error {
	return errors.Join(
		c.validateNames(),
		between("pipelineDepth", c.PipelineDepth, 1, MaxPipelineDepth),
		between("globalCongestionWindow", c.GlobalCongestionWindow, 1, MaxWindow),
		between("slowStartThreshold", c.SlowStartThreshold, 1, MaxWindow),
		between("maxActivePrefixes", c.MaxActivePrefixes, 1, MaxPrefixesPerWorker),
		between("maxPrefixes", c.MaxPrefixes, 1, MaxPrefixesPerWorker),
		between("maxConcurrentUploads", c.MaxConcurrentUploads, 1, 1024),
		between("maxAttempts", c.MaxAttempts, 1, 100),
		between("updateInterval", c.UpdateInterval, 100*time.Millisecond, time.Minute),
		between("leaseDuration", c.LeaseDuration, max(time.Second, 3*c.UpdateInterval), longestLease),
		between("coastingTime", c.CoastingTime, 0, longestCoasting),
		above("learningRate", c.LearningRate, 0, 1),
		above("bandwidthProbingRate", c.BandwidthProbingRate, 0, 1),
		below("congestionSensitivity", c.CongestionSensitivity, 0, 1),
		between("recoveryAggressiveness", c.RecoveryAggressiveness, 0.1, 10),
	)
}

// Safer returns, of each parameter that the transfers of a domain share, the value that is
// safer for the others: the one that begins with less, grows slower, and backs off sooner.
// Of two learning rates it is the one nearer to the default: a low one is too slow to see a
// queue, a high one mistakes noise for a queue.
func (c Config) Safer(o Config) Config {
	c.GlobalCongestionWindow = min(c.GlobalCongestionWindow, o.GlobalCongestionWindow)
	c.SlowStartThreshold = min(c.SlowStartThreshold, o.SlowStartThreshold)
	c.AdvancedFlowControl = c.AdvancedFlowControl || o.AdvancedFlowControl
	c.BandwidthProbingRate = min(c.BandwidthProbingRate, o.BandwidthProbingRate)
	c.CongestionSensitivity = max(c.CongestionSensitivity, o.CongestionSensitivity)
	c.RecoveryAggressiveness = min(c.RecoveryAggressiveness, o.RecoveryAggressiveness)
	c.UpdateInterval = min(c.UpdateInterval, o.UpdateInterval)
	c.LeaseDuration = min(c.LeaseDuration, o.LeaseDuration)
	usual := DefaultConfig().LearningRate
	if math.Abs(math.Log(o.LearningRate/usual)) < math.Abs(math.Log(c.LearningRate/usual)) {
		c.LearningRate = o.LearningRate
	}
	return c
}

func (c Config) validateNames() error {
	var strategy, bandwidth error
	switch c.Strategy {
	case TCPLike, FairShare, Adaptive:
	default:
		strategy = fmt.Errorf("strategy is %q, must be %s, %s or %s", c.Strategy, TCPLike, FairShare, Adaptive)
	}
	switch c.BandwidthStrategy {
	case BandwidthFairShare, BandwidthProportional:
	default:
		bandwidth = fmt.Errorf("bandwidthStrategy is %q, must be %s or %s",
			c.BandwidthStrategy, BandwidthFairShare, BandwidthProportional)
	}
	return errors.Join(strategy, bandwidth)
}

// ordered is what parameters are made of.
type ordered interface{ int | float64 | time.Duration }

// between, above and below reject NaN because they ask what holds, not what fails.
func between[T ordered](name string, value, low, high T) error {
	if value >= low && value <= high {
		return nil
	}
	return fmt.Errorf("%s is %v, must be between %v and %v", name, value, low, high)
}

func above[T ordered](name string, value, low, high T) error {
	if value > low && value <= high {
		return nil
	}
	return fmt.Errorf("%s is %v, must be above %v and at most %v", name, value, low, high)
}

func below[T ordered](name string, value, low, high T) error {
	if value >= low && value < high {
		return nil
	}
	return fmt.Errorf("%s is %v, must be at least %v and below %v", name, value, low, high)
}
