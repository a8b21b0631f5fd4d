package coordinator

import (
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/curve"
	"cargoship.dev/operator/internal/metrics"
)

const (
	// curvePoints bounds the curve in a status, to about a kilobyte.
	curvePoints = 64
	// curveInterval is how long its intervals are at first; whole seconds, as times in a status are.
	curveInterval = time.Second
)

// sending is what the workers of a transfer have sent over time. A nil one counts nothing.
type sending struct {
	curve curve.Curve
	// requests were begun; failed counts those that failed for another reason than throttling.
	requests, failed int64
	throttled        map[string]int64 // by prefix
	unwatched        time.Duration
}

// sentCounters are counters of workers, summed up.
type sentCounters struct{ bytes, requests, throttled, failed int64 }

// takeUp goes on with what a former leader has recorded, nil for nothing. What the leases have
// grown by since then was sent while nobody watched. It counts nothing twice, but may
// miss some of that where leases were deleted in between.
func takeUp(now time.Time, s *v1alpha1.SendingStatus, reported sentCounters) *sending {
	begun := now.Truncate(time.Second)
	out := &sending{
		curve:     curve.Curve{Begun: begun, Last: begun, Each: curveInterval, Most: curvePoints},
		throttled: map[string]int64{},
	}
	if s == nil || s.StartTime == nil || len(s.Bytes) != len(s.Throttled) {
		return out
	}
	out.curve.Begun, out.curve.Last = s.StartTime.Time, ptr.Deref(s.LastTime, *s.StartTime).Time
	out.curve.Each = time.Duration(max(1, s.SecondsEach)) * time.Second
	out.curve.Bytes, out.curve.Throttled = slices.Clone(s.Bytes), slices.Clone(s.Throttled)
	out.requests, out.failed = ptr.Deref(s.Requests, 0), ptr.Deref(s.Failed, 0)
	out.unwatched = time.Duration(ptr.Deref(s.UnwatchedSeconds, 0)) * time.Second
	for _, p := range s.ThrottledPrefixes {
		out.throttled[p.Name] = ptr.Deref(p.Throttled, 0)
	}
	if s.Reported == nil {
		return out
	}
	grown := func(now int64, then *int64) int64 { return max(0, now-ptr.Deref(then, 0)) }
	out.start(grown(reported.requests, s.Reported.Requests))
	out.failed = curve.Plus(out.failed, grown(reported.failed, s.Reported.Failed))
	bytes, throttled := grown(reported.bytes, s.Reported.Bytes), grown(reported.throttled, s.Reported.Throttled)
	if bytes > 0 || throttled > 0 {
		out.unwatched += max(0, begun.Sub(out.curve.Last))
		out.curve.Spread(latest(begun, out.curve.Last), bytes, throttled)
	}
	return out
}

// start takes in requests that were begun.
func (s *sending) start(n int64) {
	if s != nil {
		s.requests = curve.Plus(s.requests, max(0, n))
	}
}

// add takes in what was reported of a prefix since the report before. Prefixes that were never
// planned are not named.
func (s *sending) add(now time.Time, prefix string, planned bool, n metrics.Requests) {
	bytes, throttled := max(0, n.Bytes), max(0, n.Throttled)
	if s == nil {
		return
	}
	s.failed = curve.Plus(s.failed, max(0, n.Failed))
	if bytes == 0 && throttled == 0 {
		return // so that the status of a transfer at rest does not change
	}
	s.curve.Add(latest(now, s.curve.Last), bytes, throttled)
	if planned && throttled > 0 {
		s.throttled[prefix] = curve.Plus(s.throttled[prefix], throttled)
	}
}

// latest guards against a clock that was set back.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// reported sums the counters in the leases that there are.
func (c *claim) reported(m *member) sentCounters {
	var sum sentCounters
	for uid, r := range c.lastReports {
		if m.leases[uid] == nil {
			continue
		}
		sum.requests = curve.Plus(sum.requests, r.started)
		for _, n := range r.counters {
			sum.bytes = curve.Plus(sum.bytes, n.Bytes)
			sum.throttled = curve.Plus(sum.throttled, n.Throttled)
			sum.failed = curve.Plus(sum.failed, n.Failed)
		}
	}
	return sum
}

// status is what is recorded, together with the counters of the leases.
func (s *sending) status(reported sentCounters) *v1alpha1.SendingStatus {
	if s == nil {
		return nil
	}
	out := &v1alpha1.SendingStatus{
		StartTime: ptr.To(metav1.NewTime(s.curve.Begun)), LastTime: ptr.To(metav1.NewTime(s.curve.Last.Truncate(time.Second))),
		SecondsEach: int64(s.curve.Each / time.Second),
		Bytes:       slices.Clone(s.curve.Bytes), Throttled: slices.Clone(s.curve.Throttled),
		Requests: ptr.To(s.requests), Failed: ptr.To(s.failed), UnwatchedSeconds: ptr.To(int64(s.unwatched / time.Second)),
		Reported: &v1alpha1.SentCounters{
			Bytes: ptr.To(reported.bytes), Requests: ptr.To(reported.requests),
			Throttled: ptr.To(reported.throttled), Failed: ptr.To(reported.failed),
		},
	}
	for _, prefix := range slices.Sorted(maps.Keys(s.throttled)) {
		out.ThrottledPrefixes = append(out.ThrottledPrefixes, v1alpha1.PrefixThrottling{Name: prefix, Throttled: ptr.To(s.throttled[prefix])})
	}
	return out
}
