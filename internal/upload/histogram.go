package upload

import (
	"math/bits"
	"time"
)

const (
	// subBuckets per doubling keep a quantile within 1/32 of the truth.
	subBuckets    = 16
	subBucketBits = 4
	// octaves reach from 1 µs to beyond an hour.
	octaves = 34
)

// histogram counts durations in buckets of microseconds whose width grows with
// the value (log-linear), so that it costs neither memory nor time per request.
type histogram struct {
	counts [octaves * subBuckets]uint32
	total  int64
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(max(d.Microseconds(), 0))]++
	h.total++
}

// quantile returns the middle of the bucket that holds the q-quantile (nearest
// rank), and 0 when nothing was added.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(int64(q*float64(h.total)+0.5), 1)
	var seen int64
	for i, n := range h.counts {
		seen += int64(n)
		if n > 0 && seen >= rank {
			return time.Duration(middleOf(i)) * time.Microsecond
		}
	}
	return 0
}

// merge adds what was added to g.
func (h *histogram) merge(g *histogram) {
	for i, n := range g.counts {
		h.counts[i] += n
	}
	h.total += g.total
}

// bucketOf maps 0..15 to themselves and each further doubling to sixteen buckets.
func bucketOf(us int64) int {
	if us < subBuckets {
		return int(us)
	}
	octave := bits.Len64(uint64(us)) - subBucketBits
	return min(octave*subBuckets+int(us>>(octave-1))-subBuckets, octaves*subBuckets-1)
}

func middleOf(bucket int) int64 {
	octave, sub := bucket/subBuckets, int64(bucket%subBuckets)
	if octave == 0 {
		return sub
	}
	low := (subBuckets + sub) << (octave - 1)
	return low + int64(1)<<(octave-1)/2
}
