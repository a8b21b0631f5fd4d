package main

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/report"
)

// fleetOf is what the cluster knows of the run of a transfer that has ended.
func fleetOf(s v1alpha1.ArchiveTransferStatus) *report.Fleet {
	f := &report.Fleet{Ended: s.CompletionTime.UTC()}
	if s.StartTime != nil {
		f.Started = s.StartTime.UTC()
		f.Seconds = int64(f.Ended.Sub(f.Started).Seconds())
	}
	if s.Progress != nil {
		f.BytesPerSecond = ptr.Deref(s.Progress.BytesPerSecond, 0)
	}
	if s.Workers != nil {
		f.Workers, f.WorkersFailed = int64(ptr.Deref(s.Workers.Desired, 0)), int64(ptr.Deref(s.Workers.Failed, 0))
	}
	for _, kind := range []string{v1alpha1.ConditionComplete, v1alpha1.ConditionFailed} {
		if c := meta.FindStatusCondition(s.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			f.Outcome, f.Message = c.Reason, c.Message
		}
	}
	return f
}
