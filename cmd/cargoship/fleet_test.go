package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/report"
)

func TestAReportHasTheTimesAndTheEndOfATransfer(t *testing.T) {
	began := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	status := v1alpha1.ArchiveTransferStatus{
		StartTime: ptr.To(metav1.NewTime(began)), CompletionTime: ptr.To(metav1.NewTime(began.Add(90 * time.Second))),
		Progress: &v1alpha1.Progress{BytesPerSecond: ptr.To(int64(1000))},
		Workers:  &v1alpha1.WorkersStatus{Desired: ptr.To(int32(3)), Failed: ptr.To(int32(1))},
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: "FilesFailed"},
			{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue, Reason: "FilesFailed", Message: "2 files failed"},
		},
	}
	want := &report.Fleet{
		Started: began, Ended: began.Add(90 * time.Second), Seconds: 90, BytesPerSecond: 1000, Workers: 3, WorkersFailed: 1,
		Outcome: "FilesFailed", Message: "2 files failed",
	}
	if diff := cmp.Diff(want, fleetOf(status)); diff != "" {
		t.Error(diff)
	}
	status = v1alpha1.ArchiveTransferStatus{CompletionTime: ptr.To(metav1.NewTime(began))}
	if diff := cmp.Diff(&report.Fleet{Ended: began}, fleetOf(status)); diff != "" {
		t.Errorf("without a start:\n%s", diff)
	}
}
