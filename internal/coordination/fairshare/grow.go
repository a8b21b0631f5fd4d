package fairshare

import "time"

// Growth is a worker that should have more slots than are charged to it.
type Growth struct {
	Worker *Worker
	// Charged are the slots that it may be using; Wanted is how many more it should have.
	Charged, Wanted int
}

// Grow divides what is free of the window over workers that are to have more, and sets
// their windows.
func (d *Divider) Grow(now time.Time, free int, growing []Growth) {
	claims := d.allocator.claims[:0]
	for _, g := range growing {
		claims = append(claims, claim{weight: 1, demand: float64(g.Wanted), rank: g.Worker.since.UnixNano()})
	}
	d.allocator.claims = claims
	d.allocator.divide(free, claims)
	for i, g := range growing {
		g.Worker.Grow(now, g.Charged+claims[i].share)
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
