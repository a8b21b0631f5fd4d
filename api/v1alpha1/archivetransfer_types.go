package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ArchiveTransferSpec describes what to archive, where and how.
// +kubebuilder:validation:XValidation:rule="self.packing.format != 'Tar' || !has(self.destination.prefixes.pattern) || self.destination.prefixes.pattern != 'Mirror'",message="prefix pattern Mirror keeps the tree, which a tar hides: use Hash or Explicit with packing Tar"
// +kubebuilder:validation:XValidation:rule="!has(self.budget) || !has(self.destination.storageClass) || self.destination.storageClass in ['STANDARD', 'STANDARD_IA', 'ONEZONE_IA', 'GLACIER_IR', 'GLACIER', 'DEEP_ARCHIVE']",message="budget requires a storage class with a list price: STANDARD, STANDARD_IA, ONEZONE_IA, GLACIER_IR, GLACIER or DEEP_ARCHIVE"
type ArchiveTransferSpec struct {
	// source is the volume to archive. It is mounted read-only and can't be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the source of a transfer can't be changed; create another ArchiveTransfer"
	Source Source `json:"source,omitzero"`

	// destination is the bucket to archive to. It can't be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the destination of a transfer can't be changed; create another ArchiveTransfer"
	Destination Destination `json:"destination,omitzero"`

	// packing chooses how files become objects. It can't be changed.
	// +optional
	// +kubebuilder:default={format: Objects}
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the packing of a transfer can't be changed; create another ArchiveTransfer"
	Packing Packing `json:"packing,omitzero"`

	// sync chooses when an object that exists at the destination is kept instead of being
	// uploaded again. Objects that are no longer in the source are never deleted. It
	// can't be changed.
	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the sync mode of a transfer can't be changed; create another ArchiveTransfer"
	Sync SyncMode `json:"sync,omitempty"`

	// budget holds the transfer before it uploads anything of the source if that would cost
	// more. With it nothing is uploaded before the source is listed to the end. What earlier
	// runs have stored counts as if it were uploaded again.
	// +optional
	Budget *Budget `json:"budget,omitempty"`

	Fleet `json:",inline"`
}

// Fleet describes how a transfer or a restore is run: its pods, its share of the destination
// and how it ends.
type Fleet struct {
	// coordination tunes the congestion control that all workers share.
	// +optional
	// +kubebuilder:default={}
	Coordination Coordination `json:"coordination,omitzero"`

	// workers describes the pods that move the data.
	// +optional
	// +kubebuilder:default={}
	Workers Workers `json:"workers,omitzero"`

	// weight is the transfer's share of a bucket that several transfers write to,
	// relative to the weights of the others.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Weight int32 `json:"weight,omitempty"`

	// suspend stops the workers until it is false again. What has been archived is kept
	// and not uploaded again.
	// +optional
	// +kubebuilder:default=false
	Suspend *bool `json:"suspend,omitempty"`

	// failurePolicy decides how files that can't be archived affect the transfer.
	// +optional
	// +kubebuilder:default={}
	FailurePolicy FailurePolicy `json:"failurePolicy,omitzero"`

	// ttlSecondsAfterFinished is how many seconds after its end the ArchiveTransfer is
	// deleted. Absent means never. The archived objects are kept.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// ArchiveTransfer archives a volume of the cluster into S3-compatible storage.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=at,categories=cargoship
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Progressing")].reason`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress.summary`
// +kubebuilder:printcolumn:name="%",type=integer,JSONPath=`.status.progress.percent`
// +kubebuilder:printcolumn:name="Throughput",type=string,JSONPath=`.status.progress.throughput`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.coordination.state`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.status.workers.leased`
// +kubebuilder:printcolumn:name="ETA",type=string,JSONPath=`.status.estimatedCompletionTime`
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.status.duration`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.progress.failed.files`,priority=1
// +kubebuilder:printcolumn:name="Limited By",type=string,JSONPath=`.status.coordination.limitedBy`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.coordination.reason`,priority=1
// +kubebuilder:printcolumn:name="Bucket",type=string,JSONPath=`.spec.destination.bucket`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 50",message="metadata.name must be at most 50 characters, so that the names of the workers' Job and pods fit"
// +kubebuilder:validation:XValidation:rule="!self.metadata.name.contains('.')",message="metadata.name must not contain '.', since worker pods have it in their host names"
type ArchiveTransfer struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec describes what to archive, where and how.
	// +required
	Spec ArchiveTransferSpec `json:"spec,omitzero"`

	// status is the observed state of the transfer.
	// +optional
	Status ArchiveTransferStatus `json:"status,omitzero"`
}

// ArchiveTransferList is a list of ArchiveTransfers.
//
// +kubebuilder:object:root=true
type ArchiveTransferList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ArchiveTransfer `json:"items"`
}
