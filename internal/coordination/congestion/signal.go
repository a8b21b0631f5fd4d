package congestion

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Signal is what the reports of one round tell of a group, or of all groups. Rates
// are per second.
type Signal struct {
	// Started, Accepted, Throttled and Failed are rates of requests, Bytes is the
	// rate of accepted payload, Busy the mean number of requests in flight.
	Started, Accepted, Throttled, Failed, Bytes, Busy float64
	// Completions and Throttles count requests in the round.
	Completions, Throttles int64
	// Judged counts the requests that started under the limits of the last decision.
	Judged Judged
	// Latency is the median duration of an accepted attempt; 0 when unknown. InFlight
	// is the most requests in flight at once, summed over workers. SenderLimited:
	// workers with half of the window or more had too little to send. These three
	// and Length are known of all groups together only.
	Latency       time.Duration
	InFlight      int
	SenderLimited bool
	// PolicyLimited: a policy allowed no more than was sent. Known of all groups together only.
	PolicyLimited bool
	// Length is how long the round lasted; 0 when unknown.
	Length time.Duration
}

// Judged counts requests by which a decision is judged: Started, and of these Accepted,
// Throttled or Failed.
type Judged struct{ Started, Accepted, Throttled, Failed int64 }

func (j *Judged) add(k Judged) {
	j.Started += k.Started
	j.Accepted += k.Accepted
	j.Throttled += k.Throttled
	j.Failed += k.Failed
}

// throttledShare is the part of them that was throttled. A 503 comes at once and a success
// after the service time, so what is in flight counts as accepted.
func (j Judged) throttledShare() float64 { return ratio(float64(j.Throttled), float64(j.requests())) }

// requests is how many tell something of the decision: what ends may have been started in
// a round before.
func (j Judged) requests() int64 { return max(j.Started, j.ended()) }

func (j Judged) ended() int64 { return j.Accepted + j.Throttled + j.Failed }

// ThrottledShare is the part of all completed requests that was throttled.
func (s Signal) ThrottledShare() float64 {
	all := s.Accepted + s.Throttled + s.Failed
	if all <= 0 {
		return 0
	}
	return s.Throttled / all
}

// timesOut tells that most requests failed, and took longer about it than the others:
// there are more than the path carries in time. Little's law gives the mean time.
func (s Signal) timesOut() bool {
	ended := s.Accepted + s.Throttled + s.Failed
	return s.Accepted > 0 && s.Failed > s.Accepted && s.Latency > 0 && s.Busy > ended*s.Latency.Seconds()
}

// congested tells that so many were throttled that it is neither noise nor the edge, of
// those that the last decision allowed.
func (s Signal) congested(c protocol.Config) bool {
	return s.Judged.Throttled >= enough && s.Judged.throttledShare() > tolerated(c)
}

// tolerated is the throttled share above which a round is congested.
func tolerated(c protocol.Config) float64 { return 0.1 * (1 - c.CongestionSensitivity) }

// Add adds what was told of another party.
func (s *Signal) Add(t Signal) {
	s.Started += t.Started
	s.Accepted += t.Accepted
	s.Throttled += t.Throttled
	s.Failed += t.Failed
	s.Bytes += t.Bytes
	s.Busy += t.Busy
	s.Completions += t.Completions
	s.Throttles += t.Throttles
	s.Judged.add(t.Judged)
}

// admitted is what was let through per second: what was started and not refused. Of that the successes
// come a service time later, and refusals at once.
func (s Signal) admitted() float64 { return max(s.Accepted, s.Started-s.Throttled-s.Failed) }

// acceptances is about how many of the completed requests were accepted.
func (s Signal) acceptances() float64 {
	return float64(s.Completions) * ratio(s.Accepted, s.Accepted+s.Throttled+s.Failed)
}

// rampingUp tells that many requests were started and few ended: the first to end are
// the fastest, so the latency of the round is too low.
func (s Signal) rampingUp() bool {
	return s.Started > rampingUpShare*(s.Accepted+s.Throttled+s.Failed)
}

// count adds what was reported, with the weight of who reported it.
func (s *Signal) count(r Rates, growth protocol.PrefixCounters, judged protocol.Sample, e *Evidence) {
	s.Started += e.weight * r.Started
	s.Accepted += e.weight * r.Accepted
	s.Throttled += e.weight * r.Throttled
	s.Failed += e.weight * r.Failed
	s.Bytes += e.bytesWeight * r.Bytes
	s.Busy += e.busyWeight * r.Busy
	s.Completions += e.weighted(growth.Accepted + growth.Throttled + growth.Failed)
	s.Throttles += e.weighted(growth.Throttled)
	s.Judged.add(Judged{e.weighted(judged.Started), e.weighted(judged.Accepted), e.weighted(judged.Throttled), e.weighted(judged.Failed)})
}
