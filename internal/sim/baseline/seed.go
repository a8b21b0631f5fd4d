package baseline

import "time"

// Numbers of the original controller.
const (
	seedWindow      = 32
	seedThreshold   = seedWindow / 2
	seedMaxPrefixes = 4
	seedCapacity    = 100. // MiB/s allocated to a new prefix
	seedSmoothing   = 0.1  // of the error rate
	seedMaxWindow   = 1024
	seedTimeout     = time.Second
	seedCalm        = time.Minute     // without congestion, from recovery to avoidance
	seedLongCalm    = 2 * time.Minute // without congestion, growth while in recovery
	seedLoop        = 10 * time.Second
)

type seedState int

const (
	seedSlowStart seedState = iota
	seedAvoidance
	seedRecovery
)

// seed is the law of the project's original design, with what is unsound in it: its
// latency is that of the whole upload, so anything above a second quarters the window;
// a throughput below half of what was allocated cuts it, whatever the reason; every
// prefix is given the whole global window, 32, from which slow start shrinks it to its
// threshold, 16; recovery grows by a tenth, which truncation undoes below ten;
// fast recovery can't be reached. One state serves all prefixes.
//
// Where the original is worse than a law can be, it is helped: requests in flight are
// counted down again, and errors are smoothed. A client is not told the prefix of a
// result, so results are dealt to the prefixes in turn.
type seed struct {
	state          seedState
	threshold      int
	lastCongestion time.Time
	lastLoop       time.Time
	prefixes       []seedPrefix
	next           int
}

type seedPrefix struct {
	window int
	// allocated is in MiB/s. It gates nothing.
	allocated float64
	errors    float64
}

func newSeed(e Env) Limiter {
	s := &seed{threshold: seedThreshold, prefixes: make([]seedPrefix, max(1, min(e.Prefixes, seedMaxPrefixes)))}
	for i := range s.prefixes {
		s.prefixes[i] = seedPrefix{window: seedWindow, allocated: seedCapacity}
	}
	return s
}

func (s *seed) Limit(time.Time) (int, float64) {
	window := 0
	for _, p := range s.prefixes {
		window += p.window
	}
	return window, 0
}

func (s *seed) Start(now time.Time, _ int) {
	if s.lastCongestion.IsZero() {
		s.lastCongestion, s.lastLoop = now, now
	}
}

func (s *seed) Done(now time.Time, r Result) {
	p := &s.prefixes[s.next]
	s.next = (s.next + 1) % len(s.prefixes)
	failed := 0.
	if r.Outcome != Accepted {
		failed = 1
	}
	p.errors += seedSmoothing * (failed - p.errors)
	s.control(now, p)
	s.detect(p, now.Sub(r.Started), r.Bytes)
	s.accelerate(now)
}

// control moves the window of a prefix by its error rate.
func (s *seed) control(now time.Time, p *seedPrefix) {
	switch s.state {
	case seedSlowStart:
		if p.errors >= 0.01 {
			s.congested(now, p)
			return
		}
		p.window = min(p.window*3/2, s.threshold)
		p.allocated *= 1.2
		if p.window >= s.threshold {
			s.state = seedAvoidance
		}
	case seedAvoidance:
		if p.errors >= 0.01 {
			s.congested(now, p)
			return
		}
		p.window = min(seedMaxWindow, p.window+1)
		p.allocated *= 1.05
	case seedRecovery:
		if p.errors > 0.02 {
			s.congested(now, p)
		} else if p.errors < 0.005 {
			p.window = min(seedMaxWindow, int(float64(p.window)*1.1))
			p.allocated *= 1.02
			if now.Sub(s.lastCongestion) > seedCalm {
				s.state = seedAvoidance
			}
		}
	}
}

func (s *seed) congested(now time.Time, p *seedPrefix) {
	s.lastCongestion = now
	s.threshold = max(2, p.window/2)
	p.window = s.threshold
	p.allocated *= 0.7
	s.state = seedRecovery
}

// detect takes long uploads and throughput below the allocation for congestion.
func (s *seed) detect(p *seedPrefix, took time.Duration, bytes int64) {
	if took > seedTimeout {
		p.window = max(1, p.window/4)
		p.allocated *= 0.5
		s.state = seedRecovery
	}
	throughput := 0.
	if took > 0 {
		throughput = float64(bytes) / (1 << 20) / took.Seconds()
	}
	if throughput < p.allocated/2 {
		p.window = max(1, p.window*2/3)
		p.allocated *= 0.8
	}
}

// accelerate is the original's recovery loop: after two minutes without congestion,
// every ten seconds a fifth more.
func (s *seed) accelerate(now time.Time) {
	if now.Sub(s.lastLoop) < seedLoop {
		return
	}
	s.lastLoop = now
	if s.state != seedRecovery || now.Sub(s.lastCongestion) <= seedLongCalm {
		return
	}
	for i := range s.prefixes {
		p := &s.prefixes[i]
		p.window = min(seedMaxWindow, int(float64(p.window)*1.2))
		p.allocated *= 1.1
	}
}
