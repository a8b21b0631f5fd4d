package coordination

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Bounds that hold whatever the configuration. A lease stays below 10 kB in the
// API because of the first three.
const (
	// maxPrefixesPerWorker is the most prefixes that one grant names.
	maxPrefixesPerWorker = 64
	// maxPipelineDepth is the most archives assigned to one worker on one prefix, as
	// many as a grant can list.
	maxPipelineDepth = 64
	// maxOutstanding is the most archives assigned to one worker in all.
	maxOutstanding = 128
	// maxWindow is the largest window of a group, in requests in flight.
	maxWindow = 100_000
	// maxPrefixes is the most prefixes of one transfer.
	maxPrefixes = 1024
	// maxPrefixLength is the longest name of a prefix, in bytes.
	maxPrefixLength = 255
	// maxFailures is how many failed archives of a prefix are kept with their reason.
	maxFailures = 32
	// maxMessage is the longest message kept, in bytes.
	maxMessage = 512
	// longestLease is the longest that a lease may be configured to hold.
	longestLease = time.Hour
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

// Validate names every parameter that is out of bounds, and its bounds.
func (c Config) Validate() error {
	return errors.Join(
		c.validateNames(),
		between("pipelineDepth", c.PipelineDepth, 1, maxPipelineDepth),
		between("globalCongestionWindow", c.GlobalCongestionWindow, 1, maxWindow),
		between("slowStartThreshold", c.SlowStartThreshold, 1, maxWindow),
		between("maxActivePrefixes", c.MaxActivePrefixes, 1, maxPrefixesPerWorker),
		between("maxPrefixes", c.MaxPrefixes, 1, maxPrefixesPerWorker),
		between("maxConcurrentUploads", c.MaxConcurrentUploads, 1, 1024),
		between("maxAttempts", c.MaxAttempts, 1, 100),
		between("updateInterval", c.UpdateInterval, 100*time.Millisecond, time.Minute),
		between("leaseDuration", c.LeaseDuration, max(time.Second, 3*c.UpdateInterval), longestLease),
		above("learningRate", c.LearningRate, 0, 1),
		above("bandwidthProbingRate", c.BandwidthProbingRate, 0, 1),
		below("congestionSensitivity", c.CongestionSensitivity, 0, 1),
		between("recoveryAggressiveness", c.RecoveryAggressiveness, 0.1, 10),
	)
}

// safer gives, of each parameter that all transfers of a domain share, the value that is
// safer for the others: that begins with less, grows slower, and gives way sooner. Of two
// learning rates, of which one is too slow to see a queue and one takes noise for one,
// it is the one nearer to the default.
func (c Config) safer(o Config) Config {
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
