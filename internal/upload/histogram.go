package upload

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// slowest is the longest duration that is told from longer ones, in microseconds: an hour.
	slowest = int64(time.Hour / time.Microsecond)
	// digits keep a quantile within a hundredth of the truth.
	digits = 2
)

// histogram counts durations. Adding one costs neither memory nor time that grows.
type histogram struct{ microseconds *hdrhistogram.Histogram }

func newHistogram() histogram { return histogram{hdrhistogram.New(1, slowest, digits)} }

// add counts a duration; one outside 1 µs to slowest counts as the nearest of these.
func (h histogram) add(d time.Duration) {
	_ = h.microseconds.RecordValue(min(max(d.Microseconds(), 1), slowest)) // It is in range.
}

// count is how many durations were added.
func (h histogram) count() int64 { return h.microseconds.TotalCount() }

// quantile returns the q-quantile, 0 ≤ q ≤ 1, and 0 when nothing was added.
func (h histogram) quantile(q float64) time.Duration {
	return time.Duration(h.microseconds.ValueAtQuantile(100*q)) * time.Microsecond
}

// merge adds what was added to g.
func (h histogram) merge(g histogram) { _ = h.microseconds.Merge(g.microseconds) } // They have one range.
