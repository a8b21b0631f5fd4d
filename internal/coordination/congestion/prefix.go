package congestion

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// PrefixModel is what was learned of one prefix by itself, for those who choose between
// prefixes.
type PrefixModel struct {
	path       pathModel
	efficiency float64 // smoothed; 0 until measured
	failures   float64 // part of the requests that did not succeed, smoothed
	window     float64 // TCPLike's own window
	sums       prefixSums
}

// prefixSums are the reports on a prefix since the last round ended.
type prefixSums struct {
	accepted, throttled, failed, bytes int64
	latency                            float64 // seconds times accepted requests
}

// NewPrefixModel is that of a prefix of which nothing is known.
func NewPrefixModel() PrefixModel { return PrefixModel{window: 1} }

// Count takes in by how much the counters of the prefix have grown.
func (w *PrefixModel) Count(growth protocol.PrefixCounters) { w.sums.count(growth) }

// Latency is the present one in seconds; 0 when nothing was measured.
func (w *PrefixModel) Latency() float64 { return w.path.current() }

// BaseLatency is the smallest, likewise.
func (w *PrefixModel) BaseLatency() float64 { return w.path.base() }

// Bandwidth in bytes per second; 0 when nothing was measured.
func (w *PrefixModel) Bandwidth() float64 { return w.path.Bandwidth }

// Efficiency is the part of a further slot's worth that becomes goodput; 0 until measured.
func (w *PrefixModel) Efficiency() float64 { return w.efficiency }

// Failures is the part of the requests that did not succeed.
func (w *PrefixModel) Failures() float64 { return w.failures }

// Window is the one that a TCP flow of its own would have.
func (w *PrefixModel) Window() float64 { return w.window }

// EndRound takes in a round of length elapsed, which left the prefix's group in a state.
func (w *PrefixModel) EndRound(now time.Time, elapsed time.Duration, state protocol.State, config protocol.Config) {
	s := w.sums
	w.sums = prefixSums{}
	completions := s.accepted + s.throttled + s.failed
	if completions == 0 || elapsed <= 0 {
		return
	}
	seconds := elapsed.Seconds()
	signal := Signal{Accepted: float64(s.accepted) / seconds, Bytes: float64(s.bytes) / seconds}
	if s.accepted > 0 {
		signal.Latency = time.Duration(s.latency / float64(s.accepted) * float64(time.Second))
	}
	w.path.learningRate = config.LearningRate
	w.path.observe(now, signal, false)
	throttled := float64(s.throttled) / float64(completions)
	failed := float64(s.throttled+s.failed) / float64(completions)
	w.failures += w.path.smoothing() * (failed - w.failures)
	w.measure(config.LearningRate)
	w.move(throttled, state, config)
}

// measure smooths the part of a further slot's worth that the prefix can turn
// into goodput: where slots queue, another adds nothing. By Little's law
// base/current is goodput per slot over its value without a queue. 503s are no
// part of it: the rate of its group bounds the slots that it can use, and a
// prefix that is given fewer takes longer to show whose fate it shares.
func (w *PrefixModel) measure(learningRate float64) {
	if w.path.current() <= 0 {
		return
	}
	efficiency := max(0.01, w.path.base()/w.path.current())
	if w.efficiency == 0 {
		w.efficiency = efficiency
		return
	}
	w.efficiency += learningRate * (efficiency - w.efficiency)
}

// move changes the prefix's own window as a TCP flow does: half at a loss, twice
// in slow start, one more otherwise (RFC 5681).
func (w *PrefixModel) move(throttled float64, state protocol.State, config protocol.Config) {
	switch {
	case throttled > 0.1*(1-config.CongestionSensitivity):
		w.window = max(1, w.window/2)
	case state == protocol.SlowStart:
		w.window = min(2*w.window, protocol.MaxWindow)
	default:
		w.window = min(w.window+1, protocol.MaxWindow)
	}
}

func (s *prefixSums) count(growth protocol.PrefixCounters) {
	s.accepted += growth.Accepted
	s.throttled += growth.Throttled
	s.failed += growth.Failed
	s.bytes += growth.Bytes
	s.latency += float64(growth.Accepted) * growth.Latency().Seconds()
}
