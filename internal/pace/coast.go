package pace

import "time"

const (
	// coastSlack is the part of its windows that a coasting worker adds in each step, and so
	// about what it lets wait: FAST TCP's alpha, over the window (Jin, Wei, Low 2004).
	coastSlack = 0.1
	// coastWeight weighs a step of the window, as FAST's gamma; usualWeight a new latency
	// against the usual one.
	coastWeight = 0.5
	usualWeight = 0.2
)

// Coast is the law by which a worker without a manager steers itself: it keeps to a part of
// the windows that it was granted last, smaller while requests take longer than they did
// under the manager. The zero value is that of a worker that has a manager.
type Coast struct {
	usual   float64 // latency under the manager, in seconds; 0 while unknown
	without float64 // what it goes without, as a part of its windows
}

// Steered takes in the latency of requests under a grant that is renewed.
func (c *Coast) Steered(latency time.Duration) {
	c.without = 0
	if latency <= 0 {
		return
	}
	if c.usual == 0 {
		c.usual = latency.Seconds()
	}
	c.usual += usualWeight * (latency.Seconds() - c.usual)
}

// Alone takes in the latency of requests under a grant that nobody renews, 0 if none
// was measured.
func (c *Coast) Alone(latency time.Duration) {
	if latency <= 0 || c.usual == 0 {
		return
	}
	part := 1 - c.without
	part += coastWeight * (part*c.usual/latency.Seconds() + coastSlack - part)
	c.without = 1 - min(part, 1)
}

// Part is the part of its windows that it keeps to, above 0 and at most 1.
func (c *Coast) Part() float64 { return 1 - c.without }
