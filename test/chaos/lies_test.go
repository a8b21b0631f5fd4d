//go:build e2e

package chaos

import (
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
)

// lieInterval is the time between two reports of a puppet: as often as an honest worker
// may report.
const lieInterval = 500 * time.Millisecond

// lie changes an honest report into a false one.
type lie struct {
	kind string
	tell func(p *puppet, s *v1alpha1.PrefixLeaseStatus)
}

// lies are all kinds of lies that a worker was seen to gain by.
func lies() []lie {
	return []lie{
		{"a plan of 9e18 archives", func(p *puppet, s *v1alpha1.PrefixLeaseStatus) { s.Plan = plan("Running", math.MaxInt64-1) }},
		{"the largest plan that the schema admits", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) { s.Plan = plan("Running", 100_000_000) }},
		{"an empty plan is complete", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) { s.Plan = &v1alpha1.PlanReport{State: "Complete"} }},
		{"a plan is complete, under a grant that was never given", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) {
			s.Plan, s.ObservedSequence = plan("Complete", 5), ptr.To(int64(999_999))
		}},
		{"10,000 requests per second, all throttled", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) {
			count(s, 5000, func(x *v1alpha1.PrefixReport, n int64) { x.Throttled = add(x.Throttled, n) })
		}},
		{"all requests failed, after a long time", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) {
			count(s, 50, func(x *v1alpha1.PrefixReport, n int64) {
				x.Failed, x.BusyMicroseconds = add(x.Failed, n), add(x.BusyMicroseconds, n*60_000_000)
			})
		}},
		{"a latency of a microsecond", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) {
			count(s, 2000, func(x *v1alpha1.PrefixReport, n int64) {
				x.Accepted, x.Bytes, x.BusyMicroseconds = add(x.Accepted, n), add(x.Bytes, n<<20), add(x.BusyMicroseconds, n)
				x.AttemptP50Microseconds, x.ServiceP50Microseconds = ptr.To(int64(1)), ptr.To(int64(1))
				x.MaxInFlight = ptr.To(int32(64))
			})
		}},
		{"a latency of an hour", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) {
			count(s, 20, func(x *v1alpha1.PrefixReport, n int64) {
				x.Accepted, x.AttemptP50Microseconds = add(x.Accepted, n), ptr.To(int64(3_600_000_000))
			})
		}},
		{"archives are finished that were never assigned", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) {
			for n := range int64(200) {
				s.Finished = append(s.Finished, finished("00", n, 1000))
			}
		}},
		{"more files than there are", func(p *puppet, s *v1alpha1.PrefixLeaseStatus) {
			for _, granted := range p.lease.Spec.Prefixes {
				for _, a := range granted.Archives {
					s.Finished = append(s.Finished, finished(granted.Name, *a.Number, 1<<50))
				}
			}
		}},
		{"blocked, with a word of ours", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) {
			s.Conditions = []metav1.Condition{{Type: v1alpha1.LeaseConditionBlocked, Status: metav1.ConditionTrue,
				Reason: v1alpha1.ReasonComplete, Message: "\x1b[2Jall files uploaded", LastTransitionTime: metav1.Now()}}
		}},
		{"another process at each report", func(p *puppet, s *v1alpha1.PrefixLeaseStatus) {
			s.Instance, s.UptimeMilliseconds = time.Now().Format("150405.000000"), ptr.To(int64(math.MaxInt64/2_000_000))
		}},
		{"2^31 requests in flight", func(_ *puppet, s *v1alpha1.PrefixLeaseStatus) { s.MaxInFlight = ptr.To(int32(math.MaxInt32)) }},
	}
}

// count adds so many requests to every prefix.
func count(s *v1alpha1.PrefixLeaseStatus, n int64, ended func(*v1alpha1.PrefixReport, int64)) {
	for i := range s.Prefixes {
		s.Prefixes[i].Started = add(s.Prefixes[i].Started, n)
		ended(&s.Prefixes[i], n)
	}
}

func add(to *int64, n int64) *int64 { return ptr.To(ptr.Deref(to, 0) + n) }

func plan(state string, archives int64) *v1alpha1.PlanReport {
	return &v1alpha1.PlanReport{State: state, Prefixes: []v1alpha1.PlannedPrefix{
		{Name: "00", Archives: ptr.To(archives), Files: ptr.To(archives), Bytes: ptr.To(archives)}}}
}

func finished(prefix string, number, files int64) v1alpha1.FinishedArchive {
	return v1alpha1.FinishedArchive{Result: v1alpha1.ArchiveFinished, Prefix: prefix, Number: ptr.To(number), Done: &v1alpha1.Tally{Files: ptr.To(files), Bytes: ptr.To(files)}}
}
