package pace

import "time"

const (
	// coastSlack is the part of its windows that a coasting worker adds in each step, and so
	// about what it lets wait: FAST TCP's alpha, over the window (Jin, Wei, Low 2004).
	coastSlack = 0.1
	// coastRise is by how much latency must rise to be a new one; coastProof is to what part windows must
	// then have shrunk, and coastDoubts in how many steps, before it counts that latency did not.
	coastRise   = 1.2
	coastProof  = 0.7
	coastDoubts = 2
	// coastWeight weighs a step of the window, as FAST's gamma; usualWeight a new latency
	// against the usual one.
	coastWeight = 0.5
	usualWeight = 0.2
)

// Coast is the law by which a worker without a manager steers itself: it keeps to a part of
// the windows that it was granted last, smaller while requests take longer than they did
// under the manager, unless they take as long with smaller ones. The zero value is that of a worker that
// has a manager.
type Coast struct {
	usual   float64 // latency under the manager, in seconds; 0 while unknown
	without float64 // what it goes without, as a part of its windows
	path    float64 // latency that is not its own doing: the usual one, or what smaller windows left
	longest float64 // latency when it last rose, and
	part    float64 // the part that it kept to then
	doubts  int     // latencies that smaller windows did not shorten, less those that they did
}

// Steered takes in the latency of requests under a grant that is renewed. That of windows which are
// lowered for a moment is not the usual one.
func (c *Coast) Steered(latency time.Duration, lowered bool) {
	*c = Coast{usual: c.usual}
	if latency <= 0 || lowered {
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
	seconds, part := latency.Seconds(), 1-c.without
	if coastRise*seconds < c.path {
		c.path = seconds
	}
	c.path = max(c.path, c.usual)
	if c.blame(seconds, part) {
		c.path, c.longest, c.doubts = seconds, 0, 0
	}
	part += coastWeight * (part*c.path/seconds + coastSlack - part)
	c.without = 1 - min(part, 1)
}

// blame tells that a latency is the path's, and not that of a queue of the worker's own, which would have
// shrunk with its windows: it is nearer to what it was before than to what it would be then.
func (c *Coast) blame(seconds, part float64) bool {
	if seconds > coastRise*c.longest {
		c.longest, c.part, c.doubts = seconds, part, 0
	}
	kept := part / c.part
	if own := max(c.path, c.longest*kept); kept > coastProof || seconds < (c.longest+own)/2 {
		c.doubts = max(c.doubts-1, 0)
		return false
	}
	c.doubts++
	return c.doubts >= coastDoubts
}

// Part is the part of its windows that it keeps to, above 0 and at most 1.
func (c *Coast) Part() float64 { return 1 - c.without }
