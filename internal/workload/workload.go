// Package workload gives the controllers one view of the objects that need a fleet of
// workers, transfers and restores.
package workload

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"cargoship.dev/operator/api/v1alpha1"
)

// Kinds of workloads.
const (
	KindTransfer = "ArchiveTransfer"
	KindRestore  = "ArchiveRestore"
)

// Workload is a transfer or a restore as the controllers see it. It shares memory with the
// object.
type Workload struct {
	metav1.ObjectMeta

	Kind   string
	Spec   v1alpha1.Fleet
	Status v1alpha1.ArchiveTransferStatus
	// Location is where the archives are. A restore that has not begun may have none yet.
	Location v1alpha1.Location

	// Object is the object itself, and one of the others too.
	Object   Object
	Transfer *v1alpha1.ArchiveTransfer
	Restore  *v1alpha1.ArchiveRestore
	// Source is the run that a restore reads, once it is known.
	Source *v1alpha1.RestoredRun
}

// Object is what a client of the API server reads and writes.
type Object interface {
	metav1.Object
	runtime.Object
}

// New returns an empty object of a kind of workload.
func New(kind string) Object {
	if kind == KindRestore {
		return &v1alpha1.ArchiveRestore{}
	}
	return &v1alpha1.ArchiveTransfer{}
}

// Of returns the workload of an object, nil if the object is none.
func Of(o Object) *Workload {
	switch o := o.(type) {
	case *v1alpha1.ArchiveTransfer:
		return &Workload{
			ObjectMeta: o.ObjectMeta, Kind: KindTransfer, Spec: o.Spec.Fleet, Status: o.Status,
			Location: o.Spec.Destination.Location, Object: o, Transfer: o,
		}
	case *v1alpha1.ArchiveRestore:
		w := &Workload{
			ObjectMeta: o.ObjectMeta, Kind: KindRestore, Spec: o.Spec.Fleet, Status: o.Status.ArchiveTransferStatus,
			Object: o, Restore: o,
		}
		w.ReadsFrom(o.Status.Source)
		return w
	default:
		return nil
	}
}

// ReadsFrom sets the run that a restore reads; nil for none yet.
func (w *Workload) ReadsFrom(source *v1alpha1.RestoredRun) {
	w.Source = source
	if source != nil {
		w.Location = source.Location
	}
}

// String names the workload in errors.
func (w *Workload) String() string { return w.Kind + " " + w.Namespace + "/" + w.Name }

// NameLabel is the label that names the workload on the objects created for it.
func (w *Workload) NameLabel() string {
	if w.Restore != nil {
		return v1alpha1.LabelRestore
	}
	return v1alpha1.LabelTransfer
}

// Finalizer keeps the object until nothing works for it any more.
func (w *Workload) Finalizer() string {
	if w.Restore != nil {
		return v1alpha1.RestoreFinalizer
	}
	return v1alpha1.Finalizer
}

// WithStatus returns an object with nothing but the name of the workload, a version, "" for
// any, and a status; source is the part of it that only a restore has.
func (w *Workload) WithStatus(version string, s v1alpha1.ArchiveTransferStatus, source *v1alpha1.RestoredRun) Object {
	name := metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name, UID: w.UID, ResourceVersion: version}
	if w.Restore != nil {
		return &v1alpha1.ArchiveRestore{ObjectMeta: name, Status: v1alpha1.ArchiveRestoreStatus{Source: source, ArchiveTransferStatus: s}}
	}
	return &v1alpha1.ArchiveTransfer{ObjectMeta: name, Status: s}
}
