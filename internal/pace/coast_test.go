package pace

import (
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
		c.Steered(latency(1000))
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

func TestCoastNeedsToKnowWhatIsUsual(t *testing.T) {
	var c Coast
	c.Alone(time.Minute)
	if c.Part() != 1 {
		t.Errorf("it keeps to %v of its windows, and cannot know why", c.Part())
	}
	c.Steered(time.Second)
	c.Alone(0)
	c.Alone(time.Minute)
	if part := c.Part(); part >= 1 || part <= 0 {
		t.Errorf("it keeps to %v of its windows when requests take a minute", part)
	}
	c.Steered(0)
	if c.Part() != 1 {
		t.Errorf("it keeps to %v of its windows under a manager", c.Part())
	}
}
