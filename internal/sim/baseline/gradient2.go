package baseline

import "time"

// Defaults of Gradient2Limit.
const (
	gradientInitial   = 20
	gradientMin       = 20
	gradientMax       = 200
	gradientQueue     = 4
	gradientSmoothing = 0.2
	gradientTolerance = 1.5
	gradientLong      = 600
	gradientWarmUp    = 10
	// gradientDrift is the excess of the long average over the last sample from
	// which on the average is drawn down by gradientForget for each sample.
	gradientDrift  = 2
	gradientForget = 0.9
)

// gradient2 compares the time of the last request with a long average of it, and
// shrinks its window as the ratio rises. A 503 is just another, fast, sample: the
// law is blind to drops.
//
// Source: Gradient2Limit of https://github.com/Netflix/concurrency-limits.
type gradient2 struct {
	limit float64
	// long is the averaged time of a request in seconds, samples how many made it,
	// up to the end of the warm-up.
	long    float64
	samples int
}

func newGradient2(Env) Limiter { return &gradient2{limit: gradientInitial} }

func (g *gradient2) Limit(time.Time) (int, float64) { return int(g.limit), 0 }

func (g *gradient2) Start(time.Time, int) {}

func (g *gradient2) Done(now time.Time, r Result) {
	short := now.Sub(r.Started).Seconds()
	if r.Outcome == Failed || short <= 0 {
		return
	}
	g.average(short)
	if g.long > gradientDrift*short {
		g.long *= gradientForget
	}
	if float64(r.InFlight) < g.limit/2 {
		return
	}
	gradient := min(1, max(0.5, gradientTolerance*g.long/short))
	next := gradient*g.limit + gradientQueue
	g.limit = (1-gradientSmoothing)*g.limit + gradientSmoothing*next
	g.limit = min(gradientMax, max(gradientMin, g.limit))
}

// average takes a sample into the long average, in seconds: a plain mean at first,
// exponential after.
func (g *gradient2) average(sample float64) {
	if g.samples < gradientWarmUp {
		g.samples++
		g.long += (sample - g.long) / float64(g.samples)
		return
	}
	g.long += 2. / (gradientLong + 1) * (sample - g.long)
}
