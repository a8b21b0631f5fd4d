package baseline

import "time"

// Defaults of EMRFS, in requests per second. The initial rate is 5500/s for reads
// and is scaled by 3500/5500 for writes.
const (
	emrfsInitial   = 3500
	emrfsIncrement = 0.1
	emrfsReduction = 2
	emrfsMin       = 0.1
	emrfsWindow    = 2 // responses between adjustments
)

// emrfs paces: after every two responses it adds 0.1/s, or halves the rate if one of
// them was a 503.
//
// Source: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-spark-emrfs-retry.html.
type emrfs struct {
	rate      float64
	responses int
	throttled bool
}

func newEMRFS(Env) Limiter { return &emrfs{rate: emrfsInitial} }

func (e *emrfs) Limit(time.Time) (int, float64) { return connections, e.rate }

func (e *emrfs) Start(time.Time, int) {}

func (e *emrfs) Done(_ time.Time, r Result) {
	if r.Outcome != Accepted && r.Outcome != Throttled {
		return
	}
	e.responses++
	e.throttled = e.throttled || r.Outcome == Throttled
	if e.responses < emrfsWindow {
		return
	}
	if e.throttled {
		e.rate = max(emrfsMin, e.rate/emrfsReduction)
	} else {
		e.rate += emrfsIncrement
	}
	e.responses, e.throttled = 0, false
}
