package lifecycle

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// scenario builds the input of a decision, fluently.
type scenario struct{ input }

func makeScenario() *scenario {
	return &scenario{input{now: testTime, transfer: workload.Of(&v1alpha1.ArchiveTransfer{
		ObjectMeta: metav1.ObjectMeta{Name: "t", Namespace: "ns", UID: "uid"},
	})}}
}

func (s *scenario) violates(reason string) *scenario {
	s.violation = &violation{reason: reason, message: "fix it"}
	return s
}

func (s *scenario) workersJob(conditions ...batchv1.JobConditionType) *scenario {
	s.workers = jobWith("t-workers", conditions)
	if len(conditions) == 0 {
		s.workers.Status.Active = 1
	}
	return s
}

func (s *scenario) finishJob(conditions ...batchv1.JobConditionType) *scenario {
	s.finish = jobWith("t-finish", conditions)
	return s
}

func jobWith(name string, conditions []batchv1.JobConditionType) *batchv1.Job {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, c := range conditions {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: c, Status: corev1.ConditionTrue})
	}
	return job
}

func (s *scenario) progress(planning string, planned, finished, failed int64) *scenario {
	s.transfer.Status.Progress = &v1alpha1.Progress{
		Planning: planning, ArchivesPlanned: &planned, ArchivesFinished: &finished,
		Planned: files(10 * planned), Done: files(10*finished - failed), Failed: files(failed), Skipped: files(0),
	}
	return s
}

// files counts files of 100 bytes.
func files(n int64) *v1alpha1.Tally { return &v1alpha1.Tally{Files: &n, Bytes: ptr.To(100 * n)} }

// counts says otherwise than progress what has become of the files.
func (s *scenario) counts(done, failed, skipped *v1alpha1.Tally) *scenario {
	p := s.transfer.Status.Progress
	p.Done, p.Failed, p.Skipped = done, failed, skipped
	return s
}

// planless says that planning is complete, and not what was planned.
func (s *scenario) planless() *scenario {
	s.transfer.Status.Progress = &v1alpha1.Progress{Planning: planningComplete}
	return s
}

func (s *scenario) onFailure(action v1alpha1.FailureAction, tolerated int64) *scenario {
	s.transfer.Spec.FailurePolicy = v1alpha1.FailurePolicy{OnFailure: action, ToleratedFailures: &tolerated}
	return s
}

func (s *scenario) stop() *scenario {
	s.stopped = true
	return s
}

func usd(cost string, months int32) *v1alpha1.Budget {
	return &v1alpha1.Budget{MaxCost: ptr.To(resource.MustParse(cost)), Months: months}
}

// budget is that of the spec, startedFor that which the workers know.
func (s *scenario) budget(cost string, months int32) *scenario {
	s.transfer.Transfer.Spec.Budget = usd(cost, months)
	return s
}

func (s *scenario) startedFor(cost string, months int32) *scenario {
	known := v1alpha1.ArchiveTransfer{Spec: v1alpha1.ArchiveTransferSpec{Budget: usd(cost, months)}}
	s.workers.Annotations = map[string]string{objects.AnnotationBudget: budgetOf(workload.Of(&known))}
	return s
}

func (s *scenario) lease(blockedBy string) *scenario {
	l := v1alpha1.PrefixLease{ObjectMeta: metav1.ObjectMeta{Name: "w"}, Status: v1alpha1.PrefixLeaseStatus{Instance: "i"}}
	if blockedBy != "" {
		l.Status.Conditions = []metav1.Condition{{Type: v1alpha1.LeaseConditionBlocked, Status: metav1.ConditionTrue, Reason: blockedBy}}
	}
	s.leases = append(s.leases, l)
	return s
}

func (s *scenario) saidFor(age time.Duration, reason string, status metav1.ConditionStatus) *scenario {
	s.transfer.Status.Conditions = append(s.transfer.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionProgressing, Reason: reason, Status: status,
		LastTransitionTime: metav1.NewTime(testTime.Add(-age))})
	return s
}

func (s *scenario) drainingFor(age time.Duration) *scenario {
	began := metav1.NewTime(testTime.Add(-age))
	s.transfer.Status.DrainStartTime = &began
	return s
}

func (s *scenario) suspend() *scenario {
	s.transfer.Spec.Suspend = ptr.To(true)
	return s
}

// suspendedJob suspends the workers' Job, whoever does so.
func (s *scenario) suspendedJob() *scenario {
	s.workers.Spec.Suspend = ptr.To(true)
	return s
}

func (s *scenario) waitingPod(reason string) *scenario {
	s.pods = append(s.pods, corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelRole: v1alpha1.RoleWorker}},
		Status: corev1.PodStatus{
			Phase: corev1.PodPending,
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "worker", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}},
		}})
	return s
}

func (s *scenario) rejects(message string) *scenario {
	s.rejected = &violation{v1alpha1.ReasonPodsRejected, message}
	return s
}

func (s *scenario) disallows(reason string) *scenario {
	s.disallowed = &violation{reason: reason, message: "ask the administrator"}
	return s
}

// finishFails fails the finish Job as the Job controller does.
func (s *scenario) finishFails(reason string) *scenario {
	s.finish.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue, Reason: reason}}
	return s
}

func (s *scenario) include(pattern string) *scenario {
	s.transfer.Transfer.Spec.Source.Include = []string{pattern}
	return s
}

func (s *scenario) onNothing(action v1alpha1.NothingSelectedAction) *scenario {
	s.transfer.Spec.FailurePolicy.OnNothingSelected = action
	return s
}
