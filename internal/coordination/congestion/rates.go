package congestion

import "cargoship.dev/operator/internal/coordination/protocol"

// Rates are per second; Busy is the mean number of requests in flight.
type Rates struct{ Started, Accepted, Throttled, Failed, Bytes, Busy float64 }

// RatesOf are those of counters that have grown in so many seconds.
func RatesOf(p protocol.PrefixCounters, seconds float64) Rates {
	return Rates{
		float64(p.Started) / seconds, float64(p.Accepted) / seconds, float64(p.Throttled) / seconds,
		float64(p.Failed) / seconds, float64(p.Bytes) / seconds, p.Busy.Seconds() / seconds,
	}
}

// Add adds the rates of another party.
func (r *Rates) Add(s Rates) {
	r.Started += s.Started
	r.Accepted += s.Accepted
	r.Throttled += s.Throttled
	r.Failed += s.Failed
	r.Bytes += s.Bytes
	r.Busy += s.Busy
}
