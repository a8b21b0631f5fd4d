package lifecycle

import (
	"strconv"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
)

var testTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// want is what matters of a decision.
type want struct {
	action      action
	progressing bool
	reason      string
	failed      bool
	again       time.Duration
}

// decisions are what is to be done where, by what is special about it.
var decisions = map[string]struct {
	in   *scenario
	want want
}{
	"nothing in the way": {makeScenario(),
		want{action: actRunWorkers, progressing: true, reason: v1alpha1.ReasonWorkersPending, again: 2 * time.Second}},
	"a quota that rejects the workers": {makeScenario().workersJob().rejects("exceeded quota").
		saidFor(time.Minute, v1alpha1.ReasonPodsRejected, metav1.ConditionFalse),
		want{action: actRunWorkers, reason: v1alpha1.ReasonPodsRejected, again: 30 * time.Second}},
	"a quota that rejects the finish pod": {makeScenario().progress(planningComplete, 2, 2, 0).finishJob().rejects("exceeded quota"),
		want{action: actFinish, reason: v1alpha1.ReasonPodsRejected, again: 2 * time.Second}},
	"a precondition that does not hold": {makeScenario().violates(v1alpha1.ReasonSecretNotFound),
		want{action: actHold, reason: v1alpha1.ReasonSecretNotFound, again: 2 * time.Second}},
	"a precondition that has not held for long": {
		makeScenario().violates("X").saidFor(20*time.Second, "X", metav1.ConditionFalse),
		want{action: actHold, reason: "X", again: 10 * time.Second}},
	"a precondition that has not held for an hour": {
		makeScenario().violates("X").saidFor(time.Hour, "X", metav1.ConditionFalse),
		want{action: actHold, reason: "X", again: time.Minute}},
	"a precondition broken while workers run": {
		makeScenario().workersJob().lease("").violates("X").progress(planningComplete, 2, 1, 0),
		want{action: actRunWorkers, progressing: true, reason: v1alpha1.ReasonTransferring}},
	"planning": {makeScenario().workersJob().lease("").progress("Running", 1, 1, 0),
		want{action: actRunWorkers, progressing: true, reason: v1alpha1.ReasonPlanning}},
	"transferring": {makeScenario().workersJob().lease("").progress(planningComplete, 2, 1, 0),
		want{action: actRunWorkers, progressing: true, reason: v1alpha1.ReasonTransferring}},
	"suspended": {makeScenario().workersJob().lease("").progress(planningComplete, 2, 1, 0).suspend(),
		want{action: actRunWorkers, reason: v1alpha1.ReasonSuspended}},
	"a worker is blocked": {makeScenario().workersJob().lease("").lease(v1alpha1.ReasonBucketNotFound).progress(planningComplete, 2, 1, 0),
		want{action: actRunWorkers, reason: v1alpha1.ReasonBucketNotFound}},
	"too expensive": {makeScenario().workersJob().lease(v1alpha1.ReasonBudgetExceeded).budget("5", 12).startedFor("5", 12),
		want{action: actRunWorkers, reason: v1alpha1.ReasonBudgetExceeded}},
	"too expensive, and the budget is raised": {makeScenario().workersJob().lease(v1alpha1.ReasonBudgetExceeded).budget("6", 12).startedFor("5", 12),
		want{action: actRenewWorkers, progressing: true, reason: v1alpha1.ReasonWorkersPending}},
	"too expensive, and fewer months count": {makeScenario().workersJob().lease(v1alpha1.ReasonBudgetExceeded).budget("5", 6).startedFor("5", 12),
		want{action: actRenewWorkers, progressing: true, reason: v1alpha1.ReasonWorkersPending}},
	"too expensive, and the budget is removed": {makeScenario().workersJob().lease(v1alpha1.ReasonBudgetExceeded).startedFor("5", 12),
		want{action: actRenewWorkers, progressing: true, reason: v1alpha1.ReasonWorkersPending}},
	"too expensive, the budget is raised, and the workers are suspended": {
		makeScenario().workersJob().lease(v1alpha1.ReasonBudgetExceeded).budget("6", 12).startedFor("5", 12).suspend(),
		want{action: actRunWorkers, reason: v1alpha1.ReasonSuspended}},
	"within the budget, which is changed": {makeScenario().workersJob().lease("").budget("6", 12).startedFor("5", 12).progress(planningComplete, 2, 1, 0),
		want{action: actRunWorkers, progressing: true, reason: v1alpha1.ReasonTransferring}},
	"blocked, and the budget is raised": {makeScenario().workersJob().lease(v1alpha1.ReasonBucketNotFound).budget("6", 12).startedFor("5", 12),
		want{action: actRunWorkers, reason: v1alpha1.ReasonBucketNotFound}},
	"a pod can't start": {makeScenario().workersJob().waitingPod("ErrImagePull"),
		want{action: actRunWorkers, reason: "ErrImagePull"}},
	"a pod is being created": {makeScenario().workersJob().waitingPod("ContainerCreating"),
		want{action: actRunWorkers, progressing: true, reason: v1alpha1.ReasonWorkersPending}},
	"the workers' Job has failed": {makeScenario().workersJob(batchv1.JobFailed).progress(planningComplete, 2, 1, 0),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonWorkersFailed}},
	"the workers' Job is complete too soon": {makeScenario().workersJob(batchv1.JobComplete).progress(planningComplete, 5, 2, 0),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonWorkersFailed}},
	"the workers' Job is complete before anything was planned": {makeScenario().workersJob(batchv1.JobComplete),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonWorkersFailed}},
	"all archives have ended, workers have not": {makeScenario().workersJob().lease("").progress(planningComplete, 2, 2, 0),
		want{action: actDrainWorkers, progressing: true, reason: v1alpha1.ReasonFinishing, again: drainGrace}},
	"workers have had a moment to exit": {
		makeScenario().workersJob().progress(planningComplete, 2, 2, 0).drainingFor(drainGrace-time.Second).
			saidFor(time.Hour, v1alpha1.ReasonFinishing, metav1.ConditionTrue),
		want{action: actDrainWorkers, progressing: true, reason: v1alpha1.ReasonFinishing, again: drainGrace}},
	"workers linger": {
		makeScenario().workersJob().progress(planningComplete, 2, 2, 0).drainingFor(drainGrace),
		want{action: actStopWorkers, progressing: true, reason: v1alpha1.ReasonFinishing, again: podPatience - drainGrace}},
	"a worker on a lost node lingers": {
		makeScenario().workersJob().suspendedJob().progress(planningComplete, 2, 2, 0).drainingFor(podPatience),
		want{action: actStopWorkers, reason: v1alpha1.ReasonPodsLeft}},
	"workers have ended": {makeScenario().workersJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 0),
		want{action: actFinish, progressing: true, reason: v1alpha1.ReasonFinishing}},
	"nothing to archive": {makeScenario().workersJob(batchv1.JobComplete).progress(planningComplete, 0, 0, 0),
		want{action: actFinish, progressing: true, reason: v1alpha1.ReasonFinishing}},
	"finished": {makeScenario().workersJob(batchv1.JobComplete).finishJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 0),
		want{action: actEnd, reason: v1alpha1.ReasonComplete}},
	"the finish Job has failed": {makeScenario().workersJob(batchv1.JobComplete).finishJob(batchv1.JobFailed).progress(planningComplete, 2, 2, 0),
		want{action: actRetryFinish, reason: v1alpha1.ReasonFinishFailed, again: 2 * time.Second}},
	"finished with failed files": {makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 3),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonFilesFailed}},
	"finished with tolerated failures": {
		makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 3).onFailure(v1alpha1.FailureContinue, 3),
		want{action: actEnd, reason: v1alpha1.ReasonComplete}},
	"finished with skipped files": {
		makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 0).counts(files(15), nil, files(5)),
		want{action: actEnd, reason: v1alpha1.ReasonComplete}},
	"finished with files that nobody accounted for": {
		makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 0).counts(files(15), nil, files(4)),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonCountsDiffer}},
	"finished with bytes that nobody accounted for": {
		makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 0).
			counts(&v1alpha1.Tally{Files: ptr.To(int64(20)), Bytes: ptr.To(int64(1999))}, nil, nil),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonCountsDiffer}},
	"finished with more files than planningComplete, failures tolerated": {
		makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 2, 2, 0).onFailure(v1alpha1.FailureContinue, 3).
			counts(files(20), files(3), nil),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonCountsDiffer}},
	"finished before all archives have ended": {
		makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 2, 1, 0).counts(files(20), nil, nil),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonCountsDiffer}},
	"finished while the source is being listed": {
		makeScenario().finishJob(batchv1.JobComplete).progress("Running", 2, 2, 0),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonCountsDiffer}},
	"a plan that was never recorded": {makeScenario().workersJob().lease("").planless(),
		want{action: actRunWorkers, progressing: true, reason: v1alpha1.ReasonTransferring}},
	"finished without a recorded plan": {makeScenario().finishJob(batchv1.JobComplete).planless(),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonCountsDiffer}},
	"the last pod has counted something else": {
		makeScenario().finishJob().finishFails(batchv1.JobReasonPodFailurePolicy).progress(planningComplete, 2, 2, 0),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonCountsDiffer}},
	"the last pod has failed too often": {
		makeScenario().finishJob().finishFails(batchv1.JobReasonBackoffLimitExceeded).progress(planningComplete, 2, 2, 0),
		want{action: actRetryFinish, reason: v1alpha1.ReasonFinishFailed, again: 2 * time.Second}},
	"an empty source": {makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 0, 0, 0),
		want{action: actEnd, reason: v1alpha1.ReasonNothingSelected}},
	"an empty source that must not be": {
		makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 0, 0, 0).onNothing(v1alpha1.NothingSelectedFails),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonNothingSelected}},
	"patterns that select nothing": {makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 0, 0, 0).include("*.jpgg"),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonNothingSelected}},
	"patterns that may select nothing": {
		makeScenario().finishJob(batchv1.JobComplete).progress(planningComplete, 0, 0, 0).include("*.jpgg").onNothing(v1alpha1.NothingSelectedCompletes),
		want{action: actEnd, reason: v1alpha1.ReasonNothingSelected}},
	"a worker whose reason is one of the manager's": {
		makeScenario().workersJob().lease(v1alpha1.ReasonComplete).progress(planningComplete, 2, 1, 0),
		want{action: actRunWorkers, reason: v1alpha1.ReasonWorkerBlocked}},
	"a source that is no longer allowed": {
		makeScenario().workersJob().lease("").progress(planningComplete, 2, 1, 0).disallows("X"),
		want{action: actHold, reason: "X", again: time.Minute}},
	"a failure, and others go on": {
		makeScenario().workersJob().lease("").progress(planningComplete, 9, 1, 1).onFailure(v1alpha1.FailureContinue, 0),
		want{action: actRunWorkers, progressing: true, reason: v1alpha1.ReasonTransferring}},
	"a failure stops all": {
		makeScenario().workersJob().lease("").progress("Running", 9, 1, 1).onFailure(v1alpha1.FailureStop, 0),
		want{action: actDrainWorkers, progressing: true, reason: v1alpha1.ReasonFinishing, again: drainGrace}},
	"more failures are tolerated once the workers are drained": {
		makeScenario().workersJob().stop().lease("").progress("Running", 9, 1, 1).onFailure(v1alpha1.FailureStop, 5),
		want{action: actDrainWorkers, progressing: true, reason: v1alpha1.ReasonFinishing, again: drainGrace}},
	"more failures are tolerated once the run is finished": {
		makeScenario().finishJob(batchv1.JobComplete).stop().progress("Running", 9, 1, 1).onFailure(v1alpha1.FailureStop, 5),
		want{action: actEnd, failed: true, reason: v1alpha1.ReasonFilesFailed}},
}

func TestDecide(t *testing.T) {
	for name, tc := range decisions {
		t.Run(name, func(t *testing.T) {
			d := decide(tc.in.input)
			got := want{d.action, d.progressing, d.reason, d.failed, d.again}
			if got != tc.want {
				t.Errorf("decide() = %+v, want %+v", got, tc.want)
			}
			if d.message == "" && d.action != actHold {
				t.Error("the decision says nothing to the user")
			}
		})
	}
}

func TestConditionsKeepTheirTransitionTime(t *testing.T) {
	s := makeScenario().workersJob().lease("").progress(planningComplete, 2, 1, 0)
	first := statusOf(s.input, decide(s.input))
	s.transfer.Status = first
	s.transfer.Status.Progress = makeScenario().progress(planningComplete, 2, 1, 0).transfer.Status.Progress
	s.now = testTime.Add(time.Hour)
	again := statusOf(s.input, decide(s.input))
	if !unchanged(first, again) {
		t.Errorf("the status changed though nothing did:\n%+v\n%+v", first, again)
	}
	if first.StartTime == nil || first.CompletionTime != nil {
		t.Errorf("start %v, completion %v; want a start and no completion", first.StartTime, first.CompletionTime)
	}
}

func TestDrainStartTimeIsWhenDrainingBegan(t *testing.T) {
	s := makeScenario().workersJob().lease("").progress(planningComplete, 2, 1, 0)
	if got := statusOf(s.input, decide(s.input)).DrainStartTime; got != nil {
		t.Errorf("drainStartTime is %v while archives are left, want none", got)
	}
	s.progress(planningComplete, 2, 2, 0)
	began := statusOf(s.input, decide(s.input)).DrainStartTime
	if began == nil || !began.Time.Equal(testTime) {
		t.Fatalf("drainStartTime is %v, want %v", began, testTime)
	}
	s.transfer.Status.DrainStartTime = began
	s.now = testTime.Add(drainGrace / 2)
	if got := statusOf(s.input, decide(s.input)).DrainStartTime; !got.Equal(began) {
		t.Errorf("drainStartTime is %v later on, want %v", got, began)
	}
}

func TestLastWordsAreQuotedAndBounded(t *testing.T) {
	s := makeScenario().finishJob().finishFails(batchv1.JobReasonPodFailurePolicy).progress(planningComplete, 2, 2, 0)
	s.finish.UID = "finish"
	terminated := func(owner string, code int32, message string) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{UID: types.UID(owner), Controller: ptr.To(true)}}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message}}}}},
		}
	}
	s.pods = []corev1.Pod{
		terminated("another", exitCountsDiffer, "not of this Job"),
		terminated("finish", 1, "not the reason"),
		terminated("finish", exitCountsDiffer, "20/2000 planned, 19/1900 found\n\x1b[31mComplete"+strings.Repeat("\x00", 4096)),
	}
	got := decide(s.input).message
	if want := `: "20/2000 planned, 19/1900 found\n\x1b[31mComplete\x00`; !strings.Contains(got, want) {
		t.Errorf("the message is %q, want one with %s", got, want)
	}
	for _, r := range got {
		if !strconv.IsPrint(r) {
			t.Errorf("the message holds %q", r)
		}
	}
	if len(got) > objects.MaxMessage {
		t.Errorf("the message has %d bytes, want at most %d", len(got), objects.MaxMessage)
	}
}

func TestFinalRecordHasNoStateOfControl(t *testing.T) {
	start, end := metav1.NewTime(testTime), metav1.NewTime(testTime.Add(100*time.Second))
	s := v1alpha1.ArchiveTransferStatus{
		StartTime: &start, DrainStartTime: &end, CompletionTime: &end, EstimatedCompletionTime: &end, ChecksumAlgorithm: "CRC64NVME",
		Progress:     &v1alpha1.Progress{Planning: planningComplete, BytesPerSecond: ptr.To(int64(0)), Throughput: "0 B/s", Done: files(1024)},
		Prefixes:     []v1alpha1.PrefixStatus{{Name: "a", Done: files(1024), Window: ptr.To(int32(3)), ThrottledPerMille: ptr.To(int32(9))}},
		Coordination: &v1alpha1.CoordinationStatus{Domain: "d", Epoch: ptr.To(int64(7)), State: "SlowStart", Window: ptr.To(int32(9)), LimitedBy: v1alpha1.LimitWindow, Reason: "SlowStart"},
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionThrottled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonThrottling},
			{Type: v1alpha1.ConditionDegraded, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonFilesFailed},
		},
	}
	got := finalRecord(s)
	if p := got.Progress; *p.BytesPerSecond != 1024 || p.Throughput != "1.00 KiB/s" {
		t.Errorf("the throughput is %d, %s; want the mean, 1024", *p.BytesPerSecond, p.Throughput)
	}
	if c := got.Coordination; c.State != "" || c.Window != nil || c.LimitedBy != "" || c.Reason != "" || c.Domain != "d" || *c.Epoch != 7 {
		t.Errorf("the coordination is %+v; want domain and epoch alone", c)
	}
	if p := got.Prefixes[0]; p.Window != nil || p.ThrottledPerMille != nil || *p.Done.Files != 1024 {
		t.Errorf("the prefix is %+v; want its counts alone", p)
	}
	if got.EstimatedCompletionTime != nil || got.ChecksumAlgorithm != "CRC64NVME" {
		t.Errorf("estimated completion %v, checksum %q", got.EstimatedCompletionTime, got.ChecksumAlgorithm)
	}
	if meta.IsStatusConditionTrue(got.Conditions, v1alpha1.ConditionThrottled) || !meta.IsStatusConditionTrue(got.Conditions, v1alpha1.ConditionDegraded) {
		t.Errorf("the conditions are %+v; want failed files to stay and throttling to end", got.Conditions)
	}
	again := got
	again.StartTime, again.CompletionTime = &start, &end
	if !equality.Semantic.DeepEqual(finalRecord(again), got) {
		t.Error("what is final changes when it is settled again")
	}
}
