package baseline

import "time"

// Numbers of AIMDLimit: start, ratio and time-out of its first published form,
// which falls to one; the ceiling is of the later one, whose floor of 20 requests
// for each process would keep it from ever yielding to a policer.
const (
	aimdInitial = 10
	aimdMax     = 200
	aimdBackoff = 0.9
	aimdTimeout = 5 * time.Second
)

// aimd adds one request to its window for each success while at least half of the
// window is used, and takes a tenth away for each drop.
//
// Source: AIMDLimit of https://github.com/Netflix/concurrency-limits.
type aimd struct{ limit int }

func newAIMD(Env) Limiter { return &aimd{limit: aimdInitial} }

func (a *aimd) Limit(time.Time) (int, float64) { return a.limit, 0 }

func (a *aimd) Start(time.Time, int) {}

func (a *aimd) Done(now time.Time, r Result) {
	switch {
	case r.Outcome == Failed:
	case r.dropped(), now.Sub(r.Started) > aimdTimeout:
		a.limit = max(1, min(a.limit-1, int(float64(a.limit)*aimdBackoff)))
	case 2*r.InFlight >= a.limit:
		a.limit = min(aimdMax, a.limit+1)
	}
}
