// Package curve keeps what was sent over time in a bounded number of equal intervals: when they
// become too many, each two become one.
package curve

import "time"

// Max bounds what is counted: the greatest integer that JSON holds exactly. What would exceed it
// is left out.
const Max = 1 << 53

// Curve is what was sent and throttled in equal intervals, one after the other.
type Curve struct {
	// Begun is the start of the first interval, Last when something was counted last.
	Begun, Last time.Time
	// Each is how long an interval is, and Most how many there are at most; both above 0. Each
	// doubles when there would be more.
	Each time.Duration
	Most int
	// Bytes and Throttled are of the same length.
	Bytes, Throttled []int64
}

// Add takes in what was sent and throttled until now, which is not before Last.
func (c *Curve) Add(now time.Time, bytes, throttled int64) {
	at := c.reach(now)
	add(c.Bytes, at, bytes)
	add(c.Throttled, at, throttled)
	c.Last = now
}

// Spread takes in what was sent and throttled at unknown times since Last: evenly.
func (c *Curve) Spread(now time.Time, bytes, throttled int64) {
	to := c.reach(now)
	from := min(max(0, c.at(c.Last)), to)
	n := int64(to - from + 1)
	part := func(sum, i int64) int64 { return sum/n*i + sum%n*i/n }
	for i := range n {
		add(c.Bytes, from+int(i), part(bytes, i+1)-part(bytes, i))
		add(c.Throttled, from+int(i), part(throttled, i+1)-part(throttled, i))
	}
	c.Last = now
}

func (c *Curve) at(t time.Time) int { return int(t.Sub(c.Begun) / c.Each) }

// reach makes the curve long enough for a time, and returns the interval that it is in.
func (c *Curve) reach(now time.Time) int {
	for c.at(now) >= c.Most {
		c.Bytes, c.Throttled = halved(c.Bytes), halved(c.Throttled)
		c.Each *= 2
	}
	at := max(0, c.at(now))
	for len(c.Bytes) <= at {
		c.Bytes, c.Throttled = append(c.Bytes, 0), append(c.Throttled, 0)
	}
	return at
}

func add(points []int64, at int, n int64) { points[at] = Plus(points[at], n) }

// Plus adds counts, up to Max.
func Plus(a, b int64) int64 { return min(a+min(b, Max), Max) }

// halved adds up pairs of intervals.
func halved(points []int64) []int64 {
	for i, n := range points {
		if i%2 == 0 {
			points[i/2] = n
		} else {
			points[i/2] = Plus(points[i/2], n)
		}
	}
	return points[:(len(points)+1)/2]
}
