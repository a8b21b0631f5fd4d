package objects

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/workload"
)

// Ended tells whether the transfer is complete or has failed.
func Ended(at *workload.Workload) bool {
	return meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionComplete) ||
		meta.IsStatusConditionTrue(at.Status.Conditions, v1alpha1.ConditionFailed)
}

// AllEnded tells whether every archive of a complete plan has ended.
func AllEnded(p *v1alpha1.Progress) bool {
	return PlanRecorded(p) && ptr.Deref(p.ArchivesFinished, 0) >= *p.ArchivesPlanned
}

// PlanRecorded tells whether the whole plan is known. Without the counts of the plan,
// nothing finished of nothing planned would read as an end.
func PlanRecorded(p *v1alpha1.Progress) bool {
	return p != nil && p.Planning == convert.PlanningComplete && p.ArchivesPlanned != nil && p.Planned != nil
}
