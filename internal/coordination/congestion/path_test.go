package congestion

import (
	"testing"
	"time"
)

// clean is the signal of a round with 100 requests in flight on a path of 100 ms.
func clean() Signal {
	return Signal{
		Started: 1000, Accepted: 1000, Bytes: 1000 << 20, Completions: 2000,
		Latency: 100 * time.Millisecond, InFlight: 100,
	}
}

func with(change func(s *Signal)) Signal {
	s := clean()
	change(&s)
	return s
}

func TestBaseLatencyIsOfOneSize(t *testing.T) {
	var m pathModel
	m.learningRate = 0.1
	small, large := clean(), clean()
	small.Bytes = small.Accepted * 2000
	large.Latency = 400 * time.Millisecond
	m.observe(start, small, false)
	m.observe(start, large, false)
	if queue := m.queue(100); queue != 0 {
		t.Errorf("larger requests read as a queue of %v", queue)
	}
	m.observe(start, small, false)
	if m.base() != 0.1 {
		t.Errorf("the base latency of small requests is %v s, want 0.1", m.base())
	}
}

// The smallest latency is sound once more gets through than was in flight when it was
// seen.
func TestTheBaseLatencyIsSoundWithoutADrain(t *testing.T) {
	var m pathModel
	m.learningRate = 0.1
	m.observe(start, clean(), false)
	m.observe(start, clean(), false)
	if m.sound() {
		t.Fatal("sound, though as much was in flight as fills the path if it is right")
	}
	m.observe(start, with(func(s *Signal) {
		s.InFlight, s.Accepted, s.Bytes, s.Started, s.Latency = 200, 1300, 1300<<20, 1300, 150*time.Millisecond
	}), false)
	if !m.sound() {
		t.Error("not sound, though the latency was measured with 100 in flight, and 130 get through in it")
	}
}
