package sim

import (
	"math"
	"time"
)

// sketch counts durations in buckets of 2 %, for quantiles in a fixed memory.
type sketch struct {
	buckets []uint32
	total   int64
	// low and high bound the buckets in use, so that a reset is cheap.
	low, high int
	ratio     float64 // logarithm of sketchRatio
}

const (
	sketchLowest  = float64(100 * time.Microsecond)
	sketchRatio   = 1.02
	sketchBuckets = 800
)

func newSketch() *sketch {
	return &sketch{buckets: make([]uint32, sketchBuckets), low: sketchBuckets, ratio: math.Log(sketchRatio)}
}

func (s *sketch) add(d time.Duration) {
	i := 0
	if x := float64(d) / sketchLowest; x > 1 {
		i = min(int(math.Log(x)/s.ratio), sketchBuckets-1)
	}
	s.buckets[i]++
	s.total++
	s.low, s.high = min(s.low, i), max(s.high, i)
}

// quantile gives the middle of the bucket that holds the quantile; 0 when nothing
// was added.
func (s *sketch) quantile(q float64) time.Duration {
	if s.total == 0 {
		return 0
	}
	rank := max(int64(math.Ceil(q*float64(s.total))), 1)
	var seen int64
	i := s.low
	for ; i < s.high; i++ {
		if seen += int64(s.buckets[i]); seen >= rank {
			break
		}
	}
	return time.Duration(sketchLowest * math.Pow(sketchRatio, float64(i)+0.5))
}

// merge adds what was added to t.
func (s *sketch) merge(t *sketch) {
	for i := t.low; i <= t.high; i++ {
		s.buckets[i] += t.buckets[i]
	}
	s.total += t.total
	s.low, s.high = min(s.low, t.low), max(s.high, t.high)
}

func (s *sketch) reset() {
	if s.total > 0 {
		clear(s.buckets[s.low : s.high+1])
	}
	s.total, s.low, s.high = 0, sketchBuckets, 0
}
