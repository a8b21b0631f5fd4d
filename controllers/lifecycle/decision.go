package lifecycle

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// drainGrace is how long drained workers have to exit on their own before their Job is
// suspended, which ends them.
const drainGrace = 10 * time.Second

// minBackoff and maxBackoff bound the pause before a transfer that makes no progress is
// checked again without an event.
const (
	minBackoff = 2 * time.Second
	maxBackoff = time.Minute
)

// input is everything that a decision about a transfer is based on, gathered at one time.
type input struct {
	now        time.Time
	transfer   *workload.Workload
	disallowed *violation  // why the administrator does not allow the source, or nil
	violation  *violation  // a precondition that does not hold, or nil
	rejected   *violation  // why a Job has no pod, if the cluster says
	population *population // of a restore that populates a claim, at its beginning and its end
	where      placement   // of the workers, until there are any
	workers    *batchv1.Job
	finish     *batchv1.Job
	leases     []v1alpha1.PrefixLease
	pods       []corev1.Pod // of both Jobs
	stopped    bool         // by the failure policy, for good
}

// action is what is to be done next.
type action string

const (
	actHold         action = "Hold"         // nothing runs
	actRunWorkers   action = "RunWorkers"   // the fleet exists, or is suspended
	actRenewWorkers action = "RenewWorkers" // the fleet is created again
	actDrainWorkers action = "DrainWorkers" // the coordinator drains the workers; wait
	actStopWorkers  action = "StopWorkers"  // workers that linger are ended
	actFinish       action = "Finish"       // the finish Job exists
	actHandOver     action = "HandOver"     // the volume goes to the claim that it is for
	actRetryFinish  action = "RetryFinish"  // the finish Job is created again
	actEnd          action = "End"          // the transfer has ended
)

// decision is the next action and what the status says about it.
type decision struct {
	action action
	// reason and message of the condition Progressing; progressing is its status.
	progressing bool
	reason      string
	message     string
	// failed tells, with actEnd, whether the transfer failed.
	failed bool
	// again is when to reconcile again without an event, 0 for never.
	again time.Duration
}

// decide returns the next action for a transfer that is neither deleted nor ended.
func decide(in input) decision {
	if in.disallowed != nil && in.finish == nil {
		return decision{action: actHold, reason: in.disallowed.reason, message: in.disallowed.message, again: maxBackoff}
	}
	if in.workers == nil && in.finish == nil && in.violation != nil {
		return decision{action: actHold, reason: in.violation.reason, message: in.violation.message, again: backoff(in)}
	}
	if objects.AllEnded(in.transfer.Status.Progress) || in.stopped || mustStop(in.transfer) || in.finish != nil {
		return decideFinish(in)
	}
	if jobEnded(in.workers) {
		return decideTooSoon(in)
	}
	return decideRunning(in)
}

// decideTooSoon ends a transfer whose workers' Job has ended, so that nobody is left for the
// rest of the archives.
func decideTooSoon(in input) decision {
	what := "failed"
	if jobCondition(in.workers, batchv1.JobComplete) {
		what = "is complete, and not all archives are: its workers exited before they were told to, or their last reports were lost"
	}
	return decision{action: actEnd, failed: true, reason: v1alpha1.ReasonWorkersFailed, message: fmt.Sprintf(
		"Job %s %s; see the logs of its pods, then delete the %s and create it again", in.workers.Name, what, wordsOf(in.transfer).noun)}
}

// mustStop tells whether the failure policy ends the transfer before every archive has ended.
func mustStop(at *workload.Workload) bool {
	return at.Spec.FailurePolicy.OnFailure == v1alpha1.FailureStop && tooManyFailures(at) && !objects.AllEnded(at.Status.Progress)
}

func tooManyFailures(at *workload.Workload) bool {
	return failedFiles(at) > ptr.Deref(at.Spec.FailurePolicy.ToleratedFailures, 0)
}

func failedFiles(at *workload.Workload) int64 {
	if at.Status.Progress == nil || at.Status.Progress.Failed == nil {
		return 0
	}
	return ptr.Deref(at.Status.Progress.Failed.Files, 0)
}

func decideRunning(in input) decision {
	say := wordsOf(in.transfer)
	run := decision{action: actRunWorkers, progressing: true, reason: say.running, message: say.runningMessage}
	p := in.transfer.Status.Progress
	blocked, who := blockedLease(in.leases)
	problem, invalid := podProblem(in), coordinationValid(in.transfer, prerequisites{})
	switch {
	case suspended(in):
		run.progressing, run.reason = false, v1alpha1.ReasonSuspended
		run.message = "no workers run while spec.suspend, or the suspend field of their Job, is true"
	case budgetChanged(in):
		run.action, run.reason = actRenewWorkers, v1alpha1.ReasonWorkersPending
		run.message = "spec.budget was changed: starting the workers again"
	case invalid != nil:
		run.progressing, run.reason, run.message = false, invalid.reason, invalid.message
	case blocked != nil:
		run.progressing, run.reason = false, blockedReason(blocked.Reason)
		run.message = fmt.Sprintf("worker %s reports %s", who, quotedWithin(blocked.Message, objects.MaxWorkerMessage))
	case problem != nil:
		run.progressing, run.reason, run.message = false, problem.reason, problem.message
		run.again = withoutPods(in, v1alpha1.RoleWorker)
	case len(in.leases) == 0:
		run.reason, run.message = v1alpha1.ReasonWorkersPending, "waiting for worker pods to start"
		run.again = withoutPods(in, v1alpha1.RoleWorker)
	case thawing(in.leases) != "":
		run.reason, run.message = v1alpha1.ReasonThawing, "worker reports "+quotedWithin(thawing(in.leases), objects.MaxWorkerMessage)
	case p == nil || p.Planning != planningComplete:
		run.reason, run.message = v1alpha1.ReasonPlanning, say.planning
	}
	return run
}

func decideFinish(in input) decision {
	say := wordsOf(in.transfer)
	d := decision{progressing: true, reason: v1alpha1.ReasonFinishing, message: say.finishing}
	switch {
	case in.finish == nil && active(in.workers):
		return decideDrain(in, d)
	case in.finish == nil:
		d.action = actFinish
	case jobCondition(in.finish, batchv1.JobComplete):
		return decideHandOver(in, decideEnd(in))
	case countsDiffer(in.finish):
		return decision{action: actEnd, failed: true, reason: v1alpha1.ReasonCountsDiffer, message: fmt.Sprintf(
			"the counts of Job %s in the %s differ from the workers' reports%s; verify the %s, then delete the %s and create it again",
			in.finish.Name, say.counted, lastWords(in), say.counted, say.noun)}
	case jobCondition(in.finish, batchv1.JobFailed):
		d.action, d.progressing, d.reason = actRetryFinish, false, v1alpha1.ReasonFinishFailed
		d.message = fmt.Sprintf("Job %s could not %s and will be retried; see the logs of its pods", in.finish.Name, say.finish)
		d.again = backoff(in)
	default:
		d.action, d.again = actFinish, withoutPods(in, v1alpha1.RoleFinisher)
		if problem := podProblem(in); problem != nil {
			d.progressing, d.reason, d.message = false, problem.reason, problem.message
		}
	}
	return d
}

// decideDrain waits for the workers to exit, or ends them.
func decideDrain(in input, d decision) decision {
	took := time.Duration(0)
	if began := in.transfer.Status.DrainStartTime; began != nil {
		took = in.now.Sub(began.Time)
	}
	switch {
	case took < drainGrace:
		d.action, d.again = actDrainWorkers, drainGrace
	case took < podPatience || !queued(in.workers) && !ptr.Deref(in.workers.Spec.Suspend, false):
		d.action, d.again = actStopWorkers, max(podPatience-took, minBackoff)
	default:
		d.action, d.progressing, d.reason, d.message = actStopWorkers, false, v1alpha1.ReasonPodsLeft, podLeft(in)
	}
	return d
}

// suspended tells whether the fleet is held back, by the transfer or by a job queue.
func suspended(in input) bool {
	return ptr.Deref(in.transfer.Spec.Suspend, false) || in.workers != nil && ptr.Deref(in.workers.Spec.Suspend, false)
}

// blockedLease returns the condition of the first blocked worker, and its name.
func blockedLease(leases []v1alpha1.PrefixLease) (*metav1.Condition, string) {
	for i := range leases {
		c := meta.FindStatusCondition(leases[i].Status.Conditions, v1alpha1.LeaseConditionBlocked)
		if c != nil && c.Status == metav1.ConditionTrue {
			return c, leases[i].Name
		}
	}
	return nil, ""
}

// thawing is what a worker says of objects that are being thawed, "" for nothing.
func thawing(leases []v1alpha1.PrefixLease) string {
	for i := range leases {
		c := meta.FindStatusCondition(leases[i].Status.Conditions, v1alpha1.LeaseConditionThawing)
		if c != nil && c.Status == metav1.ConditionTrue {
			return c.Message
		}
	}
	return ""
}

// withoutPods is when to check again what keeps pods from being created: no watched event
// reports that.
func withoutPods(in input, role string) time.Duration {
	if podsLeft(in.pods, role) {
		return 0
	}
	return backoff(in)
}

// podProblem is what keeps pods from being created, or the first pending pod from
// running, as far as the cluster reports it.
func podProblem(in input) *violation {
	if in.rejected != nil {
		return in.rejected
	}
	for i := range in.pods {
		pod := &in.pods[i]
		if pod.Status.Phase != corev1.PodPending || pod.DeletionTimestamp != nil {
			continue
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				return &violation{c.Reason, fmt.Sprintf("pod %s can't be scheduled: %s", pod.Name, c.Message)}
			}
		}
		for _, c := range pod.Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" && w.Reason != "" {
				return &violation{w.Reason, fmt.Sprintf("container %s of pod %s can't start: %s", c.Name, pod.Name, w.Message)}
			}
		}
	}
	return nil
}

func jobCondition(job *batchv1.Job, kind batchv1.JobConditionType) bool {
	for _, c := range job.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// jobEnded tells whether a Job is complete or has failed.
func jobEnded(job *batchv1.Job) bool {
	return job != nil && (jobCondition(job, batchv1.JobComplete) || jobCondition(job, batchv1.JobFailed))
}

// active tells whether a Job has, or will have, pods that run.
func active(job *batchv1.Job) bool {
	if job == nil {
		return false
	}
	if job.Status.Active+ptr.Deref(job.Status.Terminating, 0) > 0 {
		return true
	}
	return !jobEnded(job) && !ptr.Deref(job.Spec.Suspend, false)
}

// backoff is half the time since the transfer stopped making progress, so that an early
// fix is noticed early.
func backoff(in input) time.Duration {
	held := time.Duration(0)
	if c := meta.FindStatusCondition(in.transfer.Status.Conditions, v1alpha1.ConditionProgressing); c != nil &&
		c.Status == metav1.ConditionFalse {
		held = in.now.Sub(c.LastTransitionTime.Time)
	}
	return min(max(held/2, minBackoff), maxBackoff)
}
