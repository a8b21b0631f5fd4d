package record

import (
	"slices"
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
)

// Sight is a run and the leases of its workers at one time.
type Sight struct {
	Run    explain.Run
	Leases []v1alpha1.PrefixLease
}

// counters are sums over workers and prefixes.
type counters struct{ accepted, throttled, failed, bytes, busy float64 }

func (c counters) ended() float64 { return c.accepted + c.throttled + c.failed }

// measured is what happened between two sights of a run, per second.
type measured struct {
	counters
	// over is the longest time between two reports of a worker, 0 if none reported twice.
	over time.Duration
}

// measure compares the reports of each worker process by its own clock. A process that is new
// is measured from its beginning.
func measure(before, after Sight) measured {
	former := map[string]v1alpha1.PrefixLeaseStatus{}
	for _, l := range before.Leases {
		former[l.Name+"/"+l.Status.Instance] = l.Status
	}
	var sum measured
	for _, l := range after.Leases {
		s := l.Status
		if s.Instance == "" {
			continue
		}
		was := former[l.Name+"/"+s.Instance]
		elapsed := time.Duration(ptr.Deref(s.UptimeMilliseconds, 0)-ptr.Deref(was.UptimeMilliseconds, 0)) * time.Millisecond
		if elapsed <= 0 {
			continue
		}
		sum.over = max(sum.over, elapsed)
		now, then := totals(s), totals(was)
		per := elapsed.Seconds()
		sum.accepted += (now.accepted - then.accepted) / per
		sum.throttled += (now.throttled - then.throttled) / per
		sum.failed += (now.failed - then.failed) / per
		sum.bytes += (now.bytes - then.bytes) / per
		sum.busy += (now.busy - then.busy) / per
	}
	return sum
}

func totals(s v1alpha1.PrefixLeaseStatus) counters {
	var c counters
	for _, p := range s.Prefixes {
		c.accepted += float64(ptr.Deref(p.Accepted, 0))
		c.throttled += float64(ptr.Deref(p.Throttled, 0))
		c.failed += float64(ptr.Deref(p.Failed, 0))
		c.bytes += float64(ptr.Deref(p.Bytes, 0))
		c.busy += float64(ptr.Deref(p.BusyMicroseconds, 0)) / 1e6
	}
	return c
}

// granted is the median of the rates, in requests per second, that the workers were granted in
// all: what the coordinator takes for the limit of the destination, without the probes for more.
func granted(sights []Sight) float64 {
	rates := make([]float64, 0, len(sights))
	for _, s := range sights {
		var milli int64
		for _, l := range s.Leases {
			for _, p := range l.Spec.Prefixes {
				milli += ptr.Deref(p.MilliRequestsPerSecond, 0)
			}
		}
		rates = append(rates, float64(milli)/1000)
	}
	slices.Sort(rates)
	return rates[(len(rates)-1)/2]
}
