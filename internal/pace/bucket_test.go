package pace

import (
	"testing"
	"time"
)

// In any ten seconds the bucket lets no more pass than the rate and what it holds, and no
// less than the rate, but for what is late at the end.
func TestBucketKeepsItsRate(t *testing.T) {
	for _, rate := range []float64{0.5, 7, 100, 9000} {
		var b Bucket
		b.Set(start, rate, 0)
		passed := 0.0
		for now := start; now.Before(start.Add(10 * time.Second)); now = now.Add(time.Millisecond) {
			for b.Wait(now, 0) == 0 {
				b.Take(now, 1)
				passed++
			}
		}
		if most := rate*(10+bucketDepth.Seconds()) + 1; passed > most || passed < 0.999*10*rate-1 {
			t.Errorf("%v passed in 10 s at %v per second", passed, rate)
		}
	}
}

// What has been waited for is kept when the rate changes, and what waits waits for the rest at
// the new rate.
func TestBucketKeepsDebtWhenTheRateChanges(t *testing.T) {
	var b Bucket
	b.Set(start, 10, 0)
	b.Take(start, 20)
	b.Set(start.Add(time.Second), 100, 0)
	if wait := b.Wait(start.Add(time.Second), 0); wait != 100*time.Millisecond {
		t.Errorf("half of a debt of 20 is paid at 100 per second within %v, want 100 ms", wait)
	}
	if wait := b.Wait(start.Add(time.Second), 5); wait != 50*time.Millisecond {
		t.Errorf("all but 5 of it is paid within %v, want 50 ms", wait)
	}
}

func TestBucketWithoutARateLetsEverythingPass(t *testing.T) {
	var b Bucket
	b.Take(start, 1e9)
	if wait := b.Wait(start, 0); wait != 0 {
		t.Errorf("wait %v", wait)
	}
	b.Set(start, 10, 5)
	if wait := b.Wait(start, 0); wait != 500*time.Millisecond {
		t.Errorf("the first waits %v, want 500 ms", wait)
	}
	b.Set(start, 0, 5)
	if wait := b.Wait(start, 0); wait != 0 {
		t.Errorf("wait %v once the rate is lifted", wait)
	}
}

// What was not passed in time is made up for no further than bucketDepth.
func TestBucketSavesLittle(t *testing.T) {
	var b Bucket
	b.Set(start, 1000, 0)
	now, passed := start.Add(time.Hour), 0
	for b.Wait(now, 0) == 0 {
		b.Take(now, 1)
		passed++
	}
	if passed > 1+int(1000*bucketDepth.Seconds()) {
		t.Errorf("%d passed at once after an hour", passed)
	}
}
