package explain

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// transfer is one that moves in congestion avoidance, as changed.
func transfer(changes ...func(*v1alpha1.ArchiveTransfer)) Run {
	at := &v1alpha1.ArchiveTransfer{}
	at.Name = "photos"
	at.Spec.Workers.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")}
	at.Status.ObservedGeneration = ptr.To(int64(1))
	at.Status.Progress = &v1alpha1.Progress{Planning: "Complete"}
	at.Status.Coordination = &v1alpha1.CoordinationStatus{State: stateAvoidance, Window: ptr.To(int32(32))}
	at.Status.Prefixes = []v1alpha1.PrefixStatus{{Name: "a"}, {Name: "b"}}
	condition(v1alpha1.ConditionProgressing, true, v1alpha1.ReasonTransferring, "workers are archiving the source")(at)
	for _, change := range changes {
		change(at)
	}
	return FromWorkload(workload.Of(at))
}

func condition(kind string, is bool, reason, message string) func(*v1alpha1.ArchiveTransfer) {
	return func(at *v1alpha1.ArchiveTransfer) {
		status := metav1.ConditionFalse
		if is {
			status = metav1.ConditionTrue
		}
		cs := at.Status.Conditions[:0:0]
		for _, c := range at.Status.Conditions {
			if c.Type != kind {
				cs = append(cs, c)
			}
		}
		cs = append(cs, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
		at.Status.Conditions = cs
	}
}

// in puts the control into a state.
func in(state string, milliRate int64) func(*v1alpha1.ArchiveTransfer) {
	return func(at *v1alpha1.ArchiveTransfer) {
		at.Status.Coordination.State, at.Status.Coordination.MilliRequestsPerSecond = state, &milliRate
	}
}

func throttled(perMille int32) func(*v1alpha1.ArchiveTransfer) {
	return func(at *v1alpha1.ArchiveTransfer) { at.Status.Prefixes[1].ThrottledPerMille = &perMille }
}

// because gives the reason of the last decision.
func because(reason string) func(*v1alpha1.ArchiveTransfer) {
	return func(at *v1alpha1.ArchiveTransfer) { at.Status.Coordination.Reason = reason }
}

func cause(name string) func(*v1alpha1.ArchiveTransfer) {
	return func(at *v1alpha1.ArchiveTransfer) {
		at.Status.Coordination.Metrics = &v1alpha1.CoordinationMetrics{CongestionCauses: []v1alpha1.CongestionCause{{Cause: name, Count: ptr.To(int64(3))}}}
	}
}

// worker has been granted 8 requests in flight on each of two prefixes and reports what
// limited it there.
func worker(a, b v1alpha1.Bottleneck, changes ...func(*v1alpha1.PrefixLease)) v1alpha1.PrefixLease {
	lease := v1alpha1.PrefixLease{}
	lease.Spec.Mode = v1alpha1.LeaseActive
	lease.Status.Instance, lease.Status.MaxInFlight = "i", ptr.To(int32(64))
	for name, by := range map[string]v1alpha1.Bottleneck{"a": a, "b": b} {
		lease.Spec.Prefixes = append(lease.Spec.Prefixes, v1alpha1.PrefixGrant{Name: name, Window: ptr.To(int32(8))})
		lease.Status.Prefixes = append(lease.Status.Prefixes, v1alpha1.PrefixReport{Name: name, LimitedBy: by})
	}
	for _, change := range changes {
		change(&lease)
	}
	return lease
}

func expired(l *v1alpha1.PrefixLease) {
	l.Status.Conditions = []metav1.Condition{{Type: v1alpha1.LeaseConditionDegraded, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonLeaseExpired}}
}

func memory(most int32) func(*v1alpha1.PrefixLease) {
	return func(l *v1alpha1.PrefixLease) { l.Status.MaxInFlight = &most }
}

func cpu(milli int64) func(*v1alpha1.PrefixLease) {
	return func(l *v1alpha1.PrefixLease) { l.Status.MilliCPU = &milli }
}

func TestEachAnswer(t *testing.T) {
	const window, rate, source = v1alpha1.LimitedByWindow, v1alpha1.LimitedByRate, v1alpha1.LimitedBySource
	fleet := func(l ...v1alpha1.PrefixLease) []v1alpha1.PrefixLease { return l }
	fixed := func(at *v1alpha1.ArchiveTransfer) { at.Spec.Coordination.Mode = v1alpha1.ModeUncoordinated }
	suspend := func(at *v1alpha1.ArchiveTransfer) { at.Spec.Suspend = ptr.To(true) }
	unseen := func(at *v1alpha1.ArchiveTransfer) { at.Status = v1alpha1.ArchiveTransferStatus{} }
	paces := func(at *v1alpha1.ArchiveTransfer) { at.Status.Coordination.LimitedBy = v1alpha1.LimitRate }
	held := condition(v1alpha1.ConditionSuspended, true, v1alpha1.ReasonSuspended, "held")
	blocked := func(reason, message string) func(*v1alpha1.ArchiveTransfer) {
		return condition(v1alpha1.ConditionProgressing, false, reason, message)
	}
	for name, tc := range map[string]struct {
		run    Run
		leases []v1alpha1.PrefixLease
		want   v1alpha1.Limit
	}{
		"too little to send":                   {transfer(), fleet(worker(source, source), worker(window, source)), v1alpha1.LimitSource},
		"half of it is enough":                 {transfer(), fleet(worker(window, source)), v1alpha1.LimitSource},
		"processors used up":                   {transfer(), fleet(worker(source, source, cpu(470)), worker(window, source, cpu(460))), v1alpha1.LimitCPU},
		"one worker of three is busy":          {transfer(), fleet(worker(window, window, cpu(490)), worker(window, window, cpu(100)), worker(window, window)), v1alpha1.LimitPath},
		"memory bounds the windows":            {transfer(), fleet(worker(window, window, memory(16))), v1alpha1.LimitMemory},
		"memory is larger than the windows":    {transfer(), fleet(worker(window, window, memory(17))), v1alpha1.LimitPath},
		"slow start":                           {transfer(in("SlowStart", 0)), fleet(worker(window, window)), v1alpha1.LimitWindow},
		"fixed windows":                        {transfer(fixed), fleet(worker(window, window)), v1alpha1.LimitWindow},
		"queue at the path":                    {transfer(), fleet(worker(window, window), worker(window, source)), v1alpha1.LimitPath},
		"throttled with the window in use":     {transfer(throttled(40)), fleet(worker(window, window)), v1alpha1.LimitPolicer},
		"fast recovery":                        {transfer(in(stateFastRecovery, 60000)), fleet(worker(window, window)), v1alpha1.LimitPolicer},
		"paced and throttled":                  {transfer(in(stateAvoidance, 60000), throttled(8)), fleet(worker(rate, rate)), v1alpha1.LimitPolicer},
		"paced after throttling":               {transfer(in(stateAvoidance, 60000), cause(causeThrottled)), fleet(worker(rate, rate)), v1alpha1.LimitPolicer},
		"paced by an earlier leader's rate":    {transfer(in(stateAvoidance, 60000)), fleet(worker(rate, rate)), v1alpha1.LimitRate},
		"nothing gets through":                 {transfer(in(stateRecovery, 0)), fleet(worker(window, window)), v1alpha1.LimitOutage},
		"nothing gets through, sending little": {transfer(in(stateRecovery, 740)), fleet(worker(source, source)), v1alpha1.LimitOutage},
		"throttling that persists":             {transfer(in(stateRecovery, 740), because(reasonStillThrottled)), fleet(worker(window, window)), v1alpha1.LimitPolicer},
		"bursts of a source":                   {transfer(because(reasonSenderLimited)), fleet(worker(window, window)), v1alpha1.LimitSource},
		"suspended":                            {transfer(suspend, held), nil, Suspended},
		"held by a queue":                      {transfer(held), nil, Queue},
		"quota":                                {transfer(blocked(v1alpha1.ReasonPodsRejected, "the cluster refuses the pods: exceeded quota: compute")), nil, Quota},
		"admission policy":                     {transfer(blocked(v1alpha1.ReasonPodsRejected, "the cluster refuses the pods: denied")), nil, Blocked},
		"rejected credentials":                 {transfer(blocked(v1alpha1.ReasonCredentialsRejected, "worker says so")), fleet(worker(source, source)), Blocked},
		"budget":                               {transfer(blocked(v1alpha1.ReasonBudgetExceeded, "it costs 12.00 USD")), nil, Budget},
		"the last pod":                         {transfer(condition(v1alpha1.ConditionProgressing, true, v1alpha1.ReasonFinishing, "checking")), nil, Finishing},
		"a rate, while the window is full":     {transfer(in(stateAvoidance, 60000), paces, cause(causeThrottled)), fleet(worker(window, rate)), v1alpha1.LimitPolicer},
		"no pods yet":                          {transfer(condition(v1alpha1.ConditionProgressing, true, v1alpha1.ReasonWorkersPending, "waiting")), nil, Workers},
		"no room on the nodes":                 {transfer(blocked("Unschedulable", "0/3 nodes")), nil, Workers},
		"pods without a report":                {transfer(), fleet(v1alpha1.PrefixLease{}), Workers},
		"nobody leads":                         {transfer(), fleet(worker(window, window, expired), worker(source, source, expired)), NoLeader},
		"one lease has run out":                {transfer(), fleet(worker(window, window, expired), worker(window, window)), v1alpha1.LimitPath},
		"no manager has processed it":          {transfer(unseen), nil, NoLeader},
		"reports without measurements":         {transfer(), fleet(worker("", "")), Unknown},
		"complete":                             {transfer(condition(v1alpha1.ConditionComplete, true, v1alpha1.ReasonComplete, "")), nil, Ended},
		"failed":                               {transfer(condition(v1alpha1.ConditionFailed, true, v1alpha1.ReasonFilesFailed, "3 files failed")), nil, Ended},
	} {
		t.Run(name, func(t *testing.T) {
			checkAnswer(t, tc.run, tc.leases, tc.want)
		})
	}
}

// checkAnswer checks the word, that there is a sentence and advice, and that the coordinator
// records the same word of what moves.
func checkAnswer(t *testing.T, run Run, leases []v1alpha1.PrefixLease, want v1alpha1.Limit) {
	t.Helper()
	a := Explain(run, leases)
	if a.LimitedBy != want {
		t.Errorf("limited by %s, want %s: %+v", a.LimitedBy, want, a)
	}
	if !strings.HasSuffix(a.Sentence, ".") || strings.Contains(a.Sentence, "()") {
		t.Errorf("no sentence: %q", a.Sentence)
	}
	if a.Advice == "" && !run.Is(v1alpha1.ConditionComplete) {
		t.Error("no advice")
	}
	if moving := Moving(run, Each(leases)); moving != "" && a.LimitedBy != moving && holds(run) == "" && a.LimitedBy != NoLeader {
		t.Errorf("the coordinator records %s, the command says %s", moving, a.LimitedBy)
	}
}

// A worker that was told to drain says nothing of what limits the run.
func TestDrainingWorkersDoNotCount(t *testing.T) {
	draining := worker(v1alpha1.LimitedBySource, v1alpha1.LimitedBySource, func(l *v1alpha1.PrefixLease) { l.Spec.Mode = v1alpha1.LeaseDrain })
	got := Limit(transfer(), []v1alpha1.PrefixLease{draining, draining, worker(v1alpha1.LimitedByWindow, v1alpha1.LimitedByWindow)})
	if got != v1alpha1.LimitPath {
		t.Errorf("limited by %s", got)
	}
}
