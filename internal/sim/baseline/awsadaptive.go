package baseline

import (
	"math"
	"time"
)

// Constants of the adaptive retry mode. Rates are in requests per second.
const (
	awsBeta      = 0.7
	awsScale     = 0.4
	awsSmoothing = 0.8
	awsBucket    = 0.5 // seconds over which a rate is measured
	awsAhead     = 2   // how far the rate may be ahead of the measured one
	awsMinRate   = 0.5
)

// awsAdaptive is free until the first throttle. Then it paces: a throttle cuts the
// rate to 0.7 of the measured one, and the rate returns along a cubic curve that
// is flat around the rate of the last throttle. What is measured are responses,
// 503s included, in steps of half a second; each 503 of a burst cuts again.
//
// Source: the "adaptive" mode of the AWS SDKs,
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html, and
// its reference, botocore/retries/{adaptive,throttling}.py. The SDK's retry quota is
// left out, which favors it.
type awsAdaptive struct {
	began   time.Time
	enabled bool
	fill    float64

	// The cubic curve: rate and time of the last throttle, and how long the curve
	// takes to be back at that rate, in seconds.
	wMax, lastFail, k float64

	// The measured rate: responses counted since lastBucket, seconds after began.
	lastBucket, count, measured float64
}

func newAWSAdaptive(Env) Limiter { return &awsAdaptive{} }

func (a *awsAdaptive) Limit(time.Time) (int, float64) {
	if !a.enabled {
		return connections, 0
	}
	return connections, max(awsMinRate, a.fill)
}

func (a *awsAdaptive) Start(now time.Time, _ int) {
	if a.began.IsZero() {
		a.began = now
	}
}

func (a *awsAdaptive) Done(now time.Time, r Result) {
	t := now.Sub(a.began).Seconds()
	a.measure(t)
	if r.Outcome != Throttled {
		dt := t - a.lastFail - a.k
		a.fill = min(awsScale*dt*dt*dt+a.wMax, awsAhead*a.measured)
		return
	}
	rate := a.measured
	if a.enabled {
		rate = min(rate, max(awsMinRate, a.fill))
	}
	a.enabled = true
	a.wMax, a.lastFail = rate, t
	a.k = math.Cbrt(rate * (1 - awsBeta) / awsScale)
	a.fill = min(awsBeta*rate, awsAhead*a.measured)
}

// measure counts a response at t seconds.
func (a *awsAdaptive) measure(t float64) {
	bucket := math.Floor(t/awsBucket) * awsBucket
	a.count++
	if bucket <= a.lastBucket {
		return
	}
	rate := a.count / (bucket - a.lastBucket)
	a.measured = awsSmoothing*rate + (1-awsSmoothing)*a.measured
	a.count, a.lastBucket = 0, bucket
}
