package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ArchiveRestoreSpec describes what to restore, where and how.
type ArchiveRestoreSpec struct {
	// from is what to restore. It can't be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="what a restore reads can't be changed; create another ArchiveRestore"
	From RestoreSource `json:"from,omitzero"`

	// to is the volume to restore into. It can't be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the target of a restore can't be changed; create another ArchiveRestore"
	To RestoreTarget `json:"to,omitzero"`

	// conflicts is what to do with a file that exists at the target with another size or
	// time: Fail, Keep or Replace it. It can't be changed.
	// +optional
	// +kubebuilder:default=Fail
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="what a restore does with existing files can't be changed; create another ArchiveRestore"
	Conflicts ConflictAction `json:"conflicts,omitempty"`

	// attributes is Required to count a file as failed unless its owner, mode, time and
	// extended attributes can all be restored, or BestEffort to restore those that the worker
	// may set: mode, time and the user's extended attributes. It can't be changed.
	// +optional
	// +kubebuilder:default=BestEffort
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="how attributes are restored can't be changed; create another ArchiveRestore"
	Attributes AttributePolicy `json:"attributes,omitempty"`

	// thaw has objects in archive storage classes (S3 Glacier) made readable, for which the
	// provider charges. Absent: files in such objects fail. It can't be changed.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="how a restore thaws objects can't be changed; create another ArchiveRestore"
	Thaw *Thaw `json:"thaw,omitempty"`

	Fleet `json:",inline"`
}

// ConflictAction is what to do with an existing file that differs from the archived one.
// +kubebuilder:validation:Enum=Fail;Keep;Replace
type ConflictAction string

const (
	// ConflictFail leaves the file as it is, and counts the archived one as failed.
	ConflictFail ConflictAction = "Fail"
	// ConflictKeep leaves the file as it is, and counts the archived one as skipped.
	ConflictKeep ConflictAction = "Keep"
	// ConflictReplace replaces it.
	ConflictReplace ConflictAction = "Replace"
)

// AttributePolicy says which attributes must be restored.
// +kubebuilder:validation:Enum=Required;BestEffort
type AttributePolicy string

const (
	// AttributesRequired counts a file as failed unless it has all of them.
	AttributesRequired AttributePolicy = "Required"
	// AttributesBestEffort restores those that the worker may set.
	AttributesBestEffort AttributePolicy = "BestEffort"
)

// RestoreSource is what to restore.
// +kubebuilder:validation:ExactlyOneOf=transferRef;location
// +kubebuilder:validation:XValidation:rule="!has(self.run) || has(self.location)",message="run requires location: a transferRef names its run itself"
type RestoreSource struct {
	// transferRef restores what an ArchiveTransfer of the namespace has archived.
	// +optional
	TransferRef *TransferReference `json:"transferRef,omitempty"`

	// location restores from a bucket, whether or not its ArchiveTransfer still exists.
	// +optional
	Location *Location `json:"location,omitempty"`

	// run chooses one of the runs that are archived below location. Absent means the latest
	// that was finished when the ArchiveRestore was created.
	// +optional
	Run *RunSelector `json:"run,omitempty"`

	// include lists glob patterns of the archived paths to restore; ** matches any number of
	// directories, and a directory selects everything below it. Absent means everything.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Include []string `json:"include,omitempty"`

	// exclude lists glob patterns of paths to leave out. It takes precedence over include.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Exclude []string `json:"exclude,omitempty"`
}

// TransferReference names an ArchiveTransfer of the same namespace.
type TransferReference struct {
	// name of the ArchiveTransfer, which must have ended.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=50
	Name string `json:"name,omitempty"`
}

// RunSelector chooses a run.
// +kubebuilder:validation:ExactlyOneOf=id;before
type RunSelector struct {
	// id is the UID of the run, its name, or NAME@TIME, as cargoship ls shows them.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=320
	ID string `json:"id,omitempty"`

	// before chooses the latest run that was finished at that time.
	// +optional
	Before *metav1.Time `json:"before,omitempty"`
}

// RestoreTarget is the volume to restore into.
// +kubebuilder:validation:ExactlyOneOf=persistentVolumeClaim;populator
type RestoreTarget struct {
	// persistentVolumeClaim restores into a claim in the restore's namespace.
	// +optional
	PersistentVolumeClaim ClaimSource `json:"persistentVolumeClaim,omitzero"`

	// populator restores into a claim whose spec.dataSourceRef names this restore, and which is
	// bound once everything is restored. The administrator has to allow it.
	// +optional
	Populator *Populator `json:"populator,omitempty"`

	// path is the directory within the volume, which is created if it does not exist; absent
	// means the volume's root.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(s, s == '..')",message="must be relative to the volume: no leading '/', no '..'"
	Path string `json:"path,omitempty"`

	// roomCheck is Enforce to begin only if what is to be restored fits into the volume, or
	// Skip, for file systems that compress or share what they store.
	// +optional
	// +kubebuilder:default=Enforce
	RoomCheck RoomCheck `json:"roomCheck,omitempty"`
}

// RoomCheck says whether a restore must fit into its volume to begin.
// +kubebuilder:validation:Enum=Enforce;Skip
type RoomCheck string

const (
	// RoomCheckEnforce begins only what fits.
	RoomCheckEnforce RoomCheck = "Enforce"
	// RoomCheckSkip begins, and waits with TargetFull when the volume is full.
	RoomCheckSkip RoomCheck = "Skip"
)

// ArchiveRestoreStatus is the observed state of the restore. Only the manager writes it.
type ArchiveRestoreStatus struct {
	// source is where the archives are, as it was when the restore began.
	// +optional
	Source *RestoredRun `json:"source,omitempty"`

	ArchiveTransferStatus `json:",inline"`
}

// RestoredRun is the run that a restore reads.
type RestoredRun struct {
	// location is where the archives are.
	// +required
	Location Location `json:"location,omitzero"`

	// run chooses the run there.
	// +required
	Run RunSelector `json:"run,omitzero"`
}

// ArchiveRestore restores what was archived into a volume of the cluster.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ar,categories=cargoship
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Progressing")].reason`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress.summary`
// +kubebuilder:printcolumn:name="%",type=integer,JSONPath=`.status.progress.percent`
// +kubebuilder:printcolumn:name="Throughput",type=string,JSONPath=`.status.progress.throughput`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.coordination.state`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.status.workers.leased`
// +kubebuilder:printcolumn:name="ETA",type=string,JSONPath=`.status.estimatedCompletionTime`
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.status.duration`
// +kubebuilder:printcolumn:name="Claim",type=string,JSONPath=`.spec.to.persistentVolumeClaim.claimName`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.progress.failed.files`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 48",message="metadata.name must be at most 48 characters, so that the names of the workers' Job and pods fit"
// +kubebuilder:validation:XValidation:rule="!self.metadata.name.contains('.')",message="metadata.name must not contain '.', since worker pods have it in their host names"
type ArchiveRestore struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec describes what to restore, where and how.
	// +required
	Spec ArchiveRestoreSpec `json:"spec,omitzero"`

	// status is the observed state of the restore.
	// +optional
	Status ArchiveRestoreStatus `json:"status,omitzero"`
}

// ArchiveRestoreList is a list of ArchiveRestores.
//
// +kubebuilder:object:root=true
type ArchiveRestoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ArchiveRestore `json:"items"`
}
