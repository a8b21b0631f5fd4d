package report

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// However long it takes, the curve has a bounded number of equal intervals, which cover the time
// and add up to what was sent and throttled.
func TestACurveAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		r := NewRecorder(now)
		var bytes, throttled int64
		for range rapid.IntRange(0, 400).Draw(t, "reports") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(rapid.SampledFrom([]time.Duration{
				time.Millisecond, time.Second, time.Hour}).Draw(t, "scale"))).Draw(t, "pause")))
			bytes += rapid.Int64Range(0, 1<<40).Draw(t, "bytes")
			throttled += rapid.Int64Range(0, 100).Draw(t, "throttled")
			r.Count(now, bytes, throttled)
		}
		s := r.Sending("test")
		if s.negative() || s.Bytes != bytes || s.Throttled != throttled || sum(s.Curve.Bytes) != bytes || sum(s.Curve.Throttled) != throttled {
			t.Errorf("%+v, want %d bytes and %d throttled", s, bytes, throttled)
		}
		if n := len(s.Curve.Bytes); n > maxPoints || s.Seconds > float64(n)*s.Curve.SecondsEach {
			t.Errorf("%d intervals of %g s for %g s", n, s.Curve.SecondsEach, s.Seconds)
		}
	})
}

// What was sent in an interval stays in it when intervals are joined.
func TestACurveKeepsTheTime(t *testing.T) {
	begun := time.Unix(1000, 0)
	r := NewRecorder(begun)
	r.Count(begun.Add(10*time.Second), 7, 0)
	r.Count(begun.Add(100*time.Second), 7, 3)
	r.Count(begun.Add(200*time.Second), 12, 3)
	s := r.Sending("test")
	if s.Curve.SecondsEach != 1 || s.Curve.Bytes[10] != 7 || s.Curve.Bytes[200] != 5 || s.Curve.Throttled[100] != 3 {
		t.Errorf("%+v", s.Curve)
	}
}

func sum(points []int64) (total int64) {
	for _, n := range points {
		total += n
	}
	return total
}
