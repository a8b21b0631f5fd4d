package sim

import (
	"math"
	"time"
)

func (d Duration) seconds() float64 { return time.Duration(d).Seconds() }

// idleMean is the mean time of a request that waits for nobody, in seconds.
func (s *Service) idleMean(bytes, rate float64) float64 {
	mean := s.Median.seconds() * math.Exp(s.Sigma*s.Sigma/2)
	slow := float64(s.SlowShare)
	return bytes/rate + (1-slow)*mean + slow*s.SlowTime.seconds()
}

// atMost is the share of service times up to a time, in seconds.
func (s *Service) atMost(t float64) float64 {
	slow := 0.0
	if t >= s.SlowTime.seconds() {
		slow = 1
	}
	z := math.Log(t/s.Median.seconds()) / max(s.Sigma, 1e-9)
	share := float64(s.SlowShare)
	return share*slow + (1-share)*0.5*math.Erfc(-z/math.Sqrt2)
}

// idle are requests that wait for nobody, of all phases of a run.
type idle []idleRequest

type idleRequest struct {
	service Service
	body    float64 // how long it is sent, in seconds
	share   float64
}

// idleRequests are those of a transfer at a rate.
func idleRequests(phases []phase, transfer int, rate float64) idle {
	var all idle
	for _, p := range phases {
		all = append(all, idleRequest{p.service, float64(p.partSizes[transfer]) / rate, p.accepted})
	}
	return all
}

// quantile is that of their times, in seconds.
func (all idle) quantile(q float64) float64 {
	shortest := math.Inf(1)
	for _, x := range all {
		shortest = min(shortest, x.body)
	}
	low, high := 1e-6, 1e6
	for range 100 {
		middle := math.Sqrt(low * high)
		below := 0.0
		for _, x := range all {
			if t := middle - (x.body - shortest); t > 0 {
				below += x.share * x.service.atMost(t)
			}
		}
		if below < q {
			low = middle
		} else {
			high = middle
		}
	}
	return shortest + high
}
