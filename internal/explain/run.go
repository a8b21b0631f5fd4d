package explain

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// Run is the view of a transfer or a restore that is shown and explained.
type Run struct {
	metav1.ObjectMeta
	Kind string
	// Source and Destination name both ends, such as pvc/photos and s3://archive/photos.
	Source, Destination string
	// Suspended is spec.suspend, Fixed that windows are fixed by the spec.
	Suspended, Fixed bool
	// Weight is the run's share of a bucket that several write to.
	Weight int32
	// CPULimit is the limit of each worker in thousandths of a processor, 0 for none.
	CPULimit int64
	// The rest is the status.
	Conditions     []metav1.Condition
	Progress       v1alpha1.Progress
	Prefixes       []v1alpha1.PrefixStatus
	Coordination   v1alpha1.CoordinationStatus
	Workers        v1alpha1.WorkersStatus
	Failures       []v1alpha1.ArchiveFailure
	Start, End     *metav1.Time
	EstimatedEnd   *metav1.Time
	ObservedStatus bool // a manager has written a status
}

// FromWorkload returns the view of a workload.
func FromWorkload(w *workload.Workload) Run {
	s := w.Status
	r := Run{
		ObjectMeta: w.ObjectMeta, Kind: w.Kind,
		Suspended:  ptr.Deref(w.Spec.Suspend, false),
		Fixed:      w.Spec.Coordination.Mode == v1alpha1.ModeUncoordinated,
		Weight:     w.Spec.Weight,
		CPULimit:   limit(w.Spec.Workers.Resources.Limits, corev1.ResourceCPU),
		Conditions: s.Conditions, Progress: ptr.Deref(s.Progress, v1alpha1.Progress{}), Prefixes: s.Prefixes,
		Coordination: ptr.Deref(s.Coordination, v1alpha1.CoordinationStatus{}),
		Workers:      ptr.Deref(s.Workers, v1alpha1.WorkersStatus{}), Failures: s.Failures,
		Start: s.StartTime, End: s.CompletionTime, EstimatedEnd: s.EstimatedCompletionTime,
		ObservedStatus: s.ObservedGeneration != nil,
	}
	switch {
	case w.Transfer != nil:
		r.Source, r.Destination = sourceName(w.Transfer.Spec.Source), placeName(w.Location)
	case w.Restore != nil:
		r.Destination = "pvc/" + w.Restore.Spec.To.PersistentVolumeClaim.ClaimName
		if w.Source != nil {
			r.Source = placeName(w.Location)
		}
	}
	return r
}

func limit(list corev1.ResourceList, name corev1.ResourceName) int64 {
	q := list[name]
	return q.MilliValue()
}

func sourceName(s v1alpha1.Source) string {
	name := ""
	switch {
	case s.PersistentVolumeClaim != nil:
		name = "pvc/" + s.PersistentVolumeClaim.ClaimName
	case s.NFS != nil:
		name = "nfs://" + s.NFS.Server + s.NFS.Path
	case s.HostPath != nil:
		name = "host:" + s.HostPath.Path
	}
	if s.Path != "" {
		name += "/" + s.Path
	}
	return name
}

func placeName(l v1alpha1.Location) string {
	name := "s3://" + l.Bucket
	if l.Prefix != "" {
		name += "/" + l.Prefix
	}
	return name
}

// RestorePrefix tells the names of restores from those of transfers.
const RestorePrefix = "restore/"

// Title is how the command line names the run.
func (r Run) Title() string {
	if r.Kind == workload.KindRestore {
		return RestorePrefix + r.Name
	}
	return r.Name
}

// Is tells whether a condition is true.
func (r Run) Is(condition string) bool { return meta.IsStatusConditionTrue(r.Conditions, condition) }

// Ended tells whether the run is complete or has failed.
func (r Run) Ended() bool {
	return r.Is(v1alpha1.ConditionComplete) || r.Is(v1alpha1.ConditionFailed)
}

// Phase is the reason of Progressing: what the run is doing, or what holds it.
func (r Run) Phase() string {
	if c := meta.FindStatusCondition(r.Conditions, v1alpha1.ConditionProgressing); c != nil {
		return c.Reason
	}
	return "Pending"
}
