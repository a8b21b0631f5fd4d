package fairshare

import "time"

// Growth is a worker whose windows are to be set.
type Growth struct {
	Worker *Worker
	// Charged are the slots that it may be using; Wanted is how many more it should have.
	Charged, Wanted int
}

// Grow divides what is free of the window over the workers that are to have more, and sets
// the windows of all. Where more is charged than the window, free is negative, and nobody who
// was told to do with less is given it back. What a worker has moves between its prefixes at all times.
func (d *Divider) Grow(now time.Time, free int, growing []Growth) {
	claims := d.allocator.claims[:0]
	for _, g := range growing {
		claims = append(claims, claim{weight: 1, demand: float64(g.Wanted), rank: g.Worker.since.UnixNano()})
	}
	d.allocator.claims = claims
	d.allocator.divide(free, claims)
	for i, g := range growing {
		most := g.Charged + claims[i].share
		if free < 0 {
			most = max(g.Charged+free, min(g.Charged, g.Worker.Window()))
		}
		g.Worker.Grow(now, most)
	}
}

// Serve records since when the worker has slots, or none.
func (w *Worker) Serve(now time.Time) {
	if serving := w.Window() > 0; serving != w.serving {
		w.serving, w.since = serving, now
	}
}

// Window sums the worker's granted windows.
func (w *Worker) Window() int {
	sum := 0
	for _, part := range w.Parts {
		sum += part.Window
	}
	return sum
}

// Target sums the slots that the worker should have.
func (w *Worker) Target() int {
	sum := 0
	for _, part := range w.Parts {
		sum += part.Target
	}
	return sum
}

// Grow sets the windows to their targets, short of what exceeds the most in all.
// That is cut from the windows that grow: the others fit, as they did before.
func (w *Worker) Grow(now time.Time, most int) {
	excess := w.Target() - most
	for _, part := range w.Parts {
		cut := max(0, min(excess, part.Target-part.Window))
		window := part.Target - cut
		if (window > 0) != (part.Window > 0) {
			part.since = now
		}
		part.Window = window
		excess -= cut
	}
}
