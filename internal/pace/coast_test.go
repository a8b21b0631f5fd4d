package pace

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A worker without a manager keeps a link full with a short queue, whatever becomes of its
// capacity, and takes its whole window again when it can.
func TestCoastFollowsALink(t *testing.T) {
	const window, idle = 100.0, 0.1 // requests, seconds
	var c Coast
	latency := func(capacity float64) time.Duration {
		return time.Duration(max(idle, c.Part()*window/capacity) * float64(time.Second))
	}
	run := func(steps int, capacity float64) {
		for range steps {
			c.Alone(latency(capacity))
		}
	}
	for range 10 {
		c.Steered(latency(1000), false)
	}
	for _, capacity := range []float64{333, 100, 1000} {
		run(30, capacity)
		if carried := c.Part() * window / idle; carried < 0.99*capacity {
			t.Errorf("%.0f requests per second of %.0f", carried, capacity)
		}
		if queue := latency(capacity).Seconds() / idle; capacity >= 333 && queue > 1.5 {
			t.Errorf("requests take %.2f times the usual at %.0f per second", queue, capacity)
		}
	}
}

// Latency that is not the doing of its own windows is no reason to shrink them, and none to let a queue
// stand later on.
func TestCoastBearsASlowerPath(t *testing.T) {
	const runs, steps, settled, scatters = 100, 120, 20, 0.05
	slower := []float64{2, 4, 1.5, 1}
	kept := make([]float64, len(slower))
	for seed := range uint64(runs) {
		random := rand.New(rand.NewPCG(seed, 1))
		scattered := func(seconds float64) time.Duration {
			return time.Duration(seconds * math.Exp(scatters*random.NormFloat64()) * float64(time.Second))
		}
		var c Coast
		for range 10 {
			c.Steered(scattered(0.1), false)
		}
		for i, times := range slower {
			for step := range steps {
				c.Alone(scattered(0.1 * times))
				if step >= settled {
					kept[i] += c.Part() / (steps - settled) / runs
				}
			}
		}
		for range 30 { // The path carries a tenth of what its windows ask of it.
			c.Alone(scattered(0.1 * max(1, 10*c.Part())))
		}
		if c.Part() > 0.3 {
			t.Errorf("seed %d: it keeps to %.2f of its windows on a path that carries a tenth of them", seed, c.Part())
		}
	}
	for i, times := range slower {
		if kept[i] < 0.9 {
			t.Errorf("it keeps to %.2f of its windows where all requests take %v times as long", kept[i], times)
		}
	}
}

func TestCoastNeedsToKnowWhatIsUsual(t *testing.T) {
	var c Coast
	c.Alone(time.Minute)
	if c.Part() != 1 {
		t.Errorf("it keeps to %v of its windows, and cannot know why", c.Part())
	}
	c.Steered(time.Second, false)
	c.Alone(0)
	c.Alone(time.Minute)
	if part := c.Part(); part >= 1 || part <= 0 {
		t.Errorf("it keeps to %v of its windows when requests take a minute", part)
	}
	c.Steered(0, false)
	if c.Part() != 1 {
		t.Errorf("it keeps to %v of its windows under a manager", c.Part())
	}
}
