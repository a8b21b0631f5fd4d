package lifecycle

import (
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/workload"
)

// decideEnd decides between complete and failed, after the finish pod has succeeded.
func decideEnd(in input) decision {
	at := in.transfer
	n, say := failedFiles(at), wordsOf(at)
	switch {
	case tooManyFailures(at):
		return decision{action: actEnd, failed: true, reason: v1alpha1.ReasonFilesFailed, message: fmt.Sprintf(
			"%d files could not be %s; %s", n, say.done, say.failures)}
	case in.stopped && n > 0:
		return decision{action: actEnd, failed: true, reason: v1alpha1.ReasonFilesFailed, message: fmt.Sprintf(
			"%d files could not be %s, and spec.failurePolicy had stopped the %s before it was changed to tolerate them; %s; create it again for the rest", n, say.done, say.noun, say.failures)}
	}
	if what := unaccounted(at.Status.Progress); what != "" {
		return decision{action: actEnd, failed: true, reason: v1alpha1.ReasonCountsDiffer, message: fmt.Sprintf(
			"the counts of the workers do not add up: %s; verify the %s, then delete the %s and create it again", what, say.counted, say.noun)}
	}
	if nothingSelected(at) {
		return decideNothingSelected(at)
	}
	message := "all files " + say.ended
	if n > 0 {
		message = fmt.Sprintf("all files %s, except %d that spec.failurePolicy.toleratedFailures tolerates", say.ended, n)
	}
	return decision{action: actEnd, reason: v1alpha1.ReasonComplete, message: message}
}

// nothingSelected tells whether no file was selected. The plan of a restore counts all
// files of the run; those that are not selected are skipped.
func nothingSelected(at *workload.Workload) bool {
	planned := convert.TallyFrom(at.Status.Progress.Planned).Files
	if at.Restore == nil {
		return planned == 0
	}
	return planned == convert.TallyFrom(at.Status.Progress.Skipped).Files
}

// decideNothingSelected ends a workload without a single file.
func decideNothingSelected(at *workload.Workload) decision {
	say := wordsOf(at)
	d := decision{action: actEnd, reason: v1alpha1.ReasonNothingSelected, message: say.empty}
	patterns := hasPatterns(at)
	if patterns {
		d.message = say.unselected
	}
	switch at.Spec.FailurePolicy.OnNothingSelected {
	case v1alpha1.NothingSelectedFails:
		d.failed = true
	case v1alpha1.NothingSelectedCompletes:
	default:
		d.failed = patterns
	}
	return d
}

// countsDiffer tells whether the finish pod has exited with exitCountsDiffer, the only exit
// code for which the Job's pod failure policy fails the Job.
func countsDiffer(finish *batchv1.Job) bool {
	for _, c := range finish.Status.Conditions {
		if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
			return c.Reason == batchv1.JobReasonPodFailurePolicy
		}
	}
	return false
}

// lastWords is the termination message of the finish pod, quoted, since the user chooses
// the image.
func lastWords(in input) string {
	for i := range in.pods {
		if !metav1.IsControlledBy(&in.pods[i], in.finish) {
			continue
		}
		for _, c := range in.pods[i].Status.ContainerStatuses {
			if t := c.State.Terminated; t != nil && t.ExitCode == exitCountsDiffer && t.Message != "" {
				return ": " + quotedWithin(t.Message, objects.MaxMessage/2)
			}
		}
	}
	return ""
}

// unaccounted describes the difference between planned and done, failed and skipped files
// of a transfer (I8); empty if there is none.
func unaccounted(p *v1alpha1.Progress) string {
	if !objects.PlanRecorded(p) {
		return "no complete plan is recorded"
	}
	ended := convert.TallyFrom(p.Done).Plus(convert.TallyFrom(p.Failed)).Plus(convert.TallyFrom(p.Skipped))
	if planned := convert.TallyFrom(p.Planned); ended != planned {
		return fmt.Sprintf("%d files of %d bytes planned, %d files of %d bytes done, failed or skipped",
			planned.Files, planned.Bytes, ended.Files, ended.Bytes)
	}
	if finished := ptr.Deref(p.ArchivesFinished, 0); finished != *p.ArchivesPlanned {
		return fmt.Sprintf("%d archives planned, %d finished", *p.ArchivesPlanned, finished)
	}
	return ""
}
