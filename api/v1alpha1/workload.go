package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// KindTransfer is the kind of an ArchiveTransfer.
const KindTransfer = "ArchiveTransfer"

// Workload is what a fleet of workers does, as the controllers see it, whichever kind of
// object asks for it. It shares memory with that object.
//
// +kubebuilder:object:generate=false
type Workload struct {
	metav1.ObjectMeta

	Kind     string
	Spec     Fleet
	Status   ArchiveTransferStatus
	Location Location

	// Object is the object itself.
	Object Object
	// Transfer is the object if it is an ArchiveTransfer, else nil.
	Transfer *ArchiveTransfer
}

// Object is what a client of the API server reads and writes.
//
// +kubebuilder:object:generate=false
type Object interface {
	metav1.Object
	runtime.Object
}

// NewWorkload returns an empty object of a kind of workload.
func NewWorkload(_ string) Object {
	return &ArchiveTransfer{}
}

// WorkloadOf returns the workload that an object asks for, nil if it is none.
func WorkloadOf(o Object) *Workload {
	switch o := o.(type) {
	case *ArchiveTransfer:
		return &Workload{
			ObjectMeta: o.ObjectMeta, Kind: KindTransfer, Spec: o.Spec.Fleet, Status: o.Status,
			Location: o.Spec.Destination.Location, Object: o, Transfer: o,
		}
	default:
		return nil
	}
}

// String names the workload in errors.
func (w *Workload) String() string { return w.Kind + " " + w.Namespace + "/" + w.Name }

// WithStatus returns an object with nothing but the name of the workload, a version, "" for
// any, and a status.
func (w *Workload) WithStatus(version string, s ArchiveTransferStatus) Object {
	name := metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name, UID: w.UID, ResourceVersion: version}
	return &ArchiveTransfer{ObjectMeta: name, Status: s}
}
