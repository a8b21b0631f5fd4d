package curve_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/curve"
)

func sum(points []int64) (total int64) {
	for _, n := range points {
		total += n
	}
	return total
}

// However long it takes, and whether what was sent is known by the time or not, a curve has a
// bounded number of intervals, which reach to the last count and add up to what was counted.
func TestACurveConservesWhatIsCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		begun := time.Unix(1000, 0)
		c := curve.Curve{Begun: begun, Last: begun, Each: time.Second, Most: rapid.SampledFrom([]int{1, 2, 7, 64}).Draw(t, "most")}
		now, bytes, throttled := begun, int64(0), int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "counts") {
			scale := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Hour}).Draw(t, "scale")
			now = now.Add(time.Duration(rapid.Int64Range(0, 3*int64(scale)).Draw(t, "pause")))
			b, n := rapid.Int64Range(0, 1<<44).Draw(t, "bytes"), rapid.Int64Range(0, 100).Draw(t, "throttled")
			if rapid.Bool().Draw(t, "spread") {
				c.Spread(now, b, n)
			} else {
				c.Add(now, b, n)
			}
			bytes, throttled = bytes+b, throttled+n
		}
		if len(c.Bytes) > c.Most || len(c.Bytes) != len(c.Throttled) || !c.Last.Equal(now) {
			t.Fatalf("%d and %d intervals of at most %d, up to %v", len(c.Bytes), len(c.Throttled), c.Most, c.Last)
		}
		if end := begun.Add(time.Duration(len(c.Bytes)) * c.Each); !end.After(now) {
			t.Fatalf("it ends at %v, before %v", end, now)
		}
		if sum(c.Bytes) != bytes || sum(c.Throttled) != throttled {
			t.Fatalf("%d bytes and %d throttled, want %d and %d", sum(c.Bytes), sum(c.Throttled), bytes, throttled)
		}
	})
}

// What was sent at unknown times is spread over all intervals that it may have been sent in.
func TestSpreadIsEven(t *testing.T) {
	begun := time.Unix(1000, 0)
	c := curve.Curve{Begun: begun, Last: begun, Each: time.Second, Most: 64}
	c.Add(begun.Add(2500*time.Millisecond), 8, 0)
	c.Spread(begun.Add(6*time.Second), 50, 7)
	want := []int64{0, 0, 8 + 10, 10, 10, 10, 10}
	for i, n := range want {
		if c.Bytes[i] != n {
			t.Fatalf("%v, want %v", c.Bytes, want)
		}
	}
	if sum(c.Throttled) != 7 || c.Throttled[6]-c.Throttled[2] > 1 {
		t.Errorf("throttled: %v", c.Throttled)
	}
}

// A worker that lies does not make a curve that no status takes.
func TestACurveHasACeiling(t *testing.T) {
	begun := time.Unix(1000, 0)
	c := curve.Curve{Begun: begun, Last: begun, Each: time.Second, Most: 2}
	for i := range 3000 {
		c.Add(begun.Add(time.Duration(i)*time.Second), 1<<62, curve.Max)
	}
	c.Spread(begun.Add(time.Hour), 1<<62, 1<<62)
	for i := range c.Bytes {
		if c.Bytes[i] < 0 || c.Bytes[i] > curve.Max || c.Throttled[i] < 0 || c.Throttled[i] > curve.Max {
			t.Errorf("interval %d has %d bytes and %d throttled", i, c.Bytes[i], c.Throttled[i])
		}
	}
}
