package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LeaseMode is what a worker is to do with its lease.
// +kubebuilder:validation:Enum=Active;Drain
type LeaseMode string

const (
	// LeaseActive lets the worker send within its grant.
	LeaseActive LeaseMode = "Active"
	// LeaseDrain tells the worker to abort what is in flight and exit.
	LeaseDrain LeaseMode = "Drain"
)

// Duty is a task that a lease assigns to its worker besides moving archives.
// +kubebuilder:validation:Enum=Plan
type Duty string

// DutyPlan is the walk of the source that writes the inventory.
const DutyPlan Duty = "Plan"

// PrefixLeaseSpec is the grant: what the manager lets one worker do. The
// manager alone writes it.
type PrefixLeaseSpec struct {
	// transferName is the ArchiveTransfer in the same namespace that the worker serves.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	TransferName string `json:"transferName,omitempty"`

	// podUID is the UID of the pod that holds the lease; a pod of the same name
	// with another UID has no right to it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	PodUID string `json:"podUID,omitempty"`

	// epoch counts the leaders that have written grants for this transfer. A
	// grant of a lower epoch is ignored.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740992
	Epoch int64 `json:"epoch,omitempty"`

	// sequence counts the grants within an epoch. A grant of a lower sequence is ignored.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740992
	Sequence int64 `json:"sequence,omitempty"`

	// acknowledgedReport is the reportSequence of the last report that the manager has
	// processed and recorded. The lease runs for leaseDuration from the moment the worker
	// sent that report, by the worker's own monotonic clock.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	AcknowledgedReport *int64 `json:"acknowledgedReport,omitempty"`

	// acknowledgedInstance is the worker process that sent acknowledgedReport. The grant
	// is a lease for that process only: a report of the previous process may arrive after
	// the next one has begun. Where acknowledgedReport is 1 and no process is named, it is a lease
	// for whichever process sends the first report; it then grants nothing else.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	AcknowledgedInstance string `json:"acknowledgedInstance,omitempty"`

	// leaseDuration is how long the grant holds, counted as acknowledgedReport says.
	// +required
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="must be between 1s and 1h"
	LeaseDuration metav1.Duration `json:"leaseDuration,omitempty"`

	// coastingDuration is how long the worker may go on with what it was granted once its lease
	// is over, if nobody takes it back: with all of it while it finds this grant in the API,
	// with half while it cannot tell. Then it sends one request at a time. Absent means that it
	// does so at once.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="must be between 0s and 24h"
	CoastingDuration *metav1.Duration `json:"coastingDuration,omitempty"`

	// chargedWindow is the largest number of requests that the worker may have in flight under a
	// grant before this one that it had not left when this one was written. Absent means no more
	// than this one allows.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	ChargedWindow int32 `json:"chargedWindow,omitempty"`

	// chargedLeaseDuration is the longest leaseDuration of this grant and those before it that the worker
	// had not left when this one was written. Absent means that of this one.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="must be between 1s and 1h"
	ChargedLeaseDuration *metav1.Duration `json:"chargedLeaseDuration,omitempty"`

	// chargedCoastingDuration is their longest coastingDuration. Absent means that of this one.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="must be between 0s and 24h"
	ChargedCoastingDuration *metav1.Duration `json:"chargedCoastingDuration,omitempty"`

	// chargedBytesPerSecond is the highest bytesPerSecond by which the worker may be sending until it acts
	// on this grant; 9007199254740992 means no bound. Absent means no more than this one allows.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740992
	ChargedBytesPerSecond int64 `json:"chargedBytesPerSecond,omitempty"`

	// chargedMilliRequestsPerSecond is the same of milliRequestsPerSecond.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740992
	ChargedMilliRequestsPerSecond int64 `json:"chargedMilliRequestsPerSecond,omitempty"`

	// coastingWindow is the largest number of requests that the worker may have in flight when it goes on
	// without a manager, where that is more than the windows of prefixes sum to: those are lowered for
	// a moment. Absent means their sum.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	CoastingWindow int32 `json:"coastingWindow,omitempty"`

	// reportInterval is how often the worker reports.
	// +required
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('10m')",message="must be between 100ms and 10m"
	ReportInterval metav1.Duration `json:"reportInterval,omitempty"`

	// bytesPerSecond paces the bytes of bodies that the worker sends or reads in all, by a
	// CoordinationPolicy. It stays in force after the lease. Absent means no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740992
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`

	// milliRequestsPerSecond paces the start of requests in all, in thousandths of a request
	// per second, by a CoordinationPolicy. It stays in force after the lease. Absent means
	// no bound.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740992
	MilliRequestsPerSecond int64 `json:"milliRequestsPerSecond,omitempty"`

	// mode is Active, or Drain to make the worker stop sending, abort what is in flight
	// and exit.
	// +required
	Mode LeaseMode `json:"mode,omitempty"`

	// duty is a task besides moving archives.
	// +optional
	Duty Duty `json:"duty,omitempty"`

	// prefixes are the windows, rates and archives granted on each prefix, of which there are 64 at most,
	// and what is taken back on these and on others.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	Prefixes []PrefixGrant `json:"prefixes,omitempty"`
}

// PrefixGrant is what a worker may do on one prefix.
type PrefixGrant struct {
	// name is the prefix, without the destination's base prefix.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Name string `json:"name,omitempty"`

	// window is the number of requests that may be in flight at once. Zero stops the prefix.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	Window *int32 `json:"window,omitempty"`

	// milliRequestsPerSecond paces the start of requests, in thousandths of a
	// request per second. Absent means that only the window limits.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740992
	MilliRequestsPerSecond *int64 `json:"milliRequestsPerSecond,omitempty"`

	// archives are the archives assigned to the worker on this prefix, most
	// urgent first.
	// +optional
	// +listType=map
	// +listMapKey=number
	// +kubebuilder:validation:MaxItems=64
	Archives []ArchiveAssignment `json:"archives,omitempty"`

	// reserve are the numbers of further archives, such as "40-3639": the worker begins them only
	// when its lease is over and it has begun all of archives. Nobody else is given them.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^[0-9]{1,8}(-[0-9]{1,8})?(,[0-9]{1,8}(-[0-9]{1,8})?)*$`
	Reserve string `json:"reserve,omitempty"`

	// recalled are archives that an earlier grant assigned to the worker, and that this one does
	// not: until the worker acts on it they are nobody else's.
	// +optional
	// +listType=map
	// +listMapKey=number
	// +kubebuilder:validation:MaxItems=128
	Recalled []ArchiveAssignment `json:"recalled,omitempty"`

	// withdrawn are the numbers of archives that an earlier grant had in reserve, likewise.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:Pattern=`^[0-9]{1,8}(-[0-9]{1,8})?(,[0-9]{1,8}(-[0-9]{1,8})?)*$`
	Withdrawn string `json:"withdrawn,omitempty"`
}

// ArchiveAssignment hands one archive to a worker.
type ArchiveAssignment struct {
	// number is the archive's place in the inventory of its prefix, from 0.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=99999999
	Number *int64 `json:"number,omitempty"`

	// attempt counts the workers that have been given the archive, from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	Attempt int32 `json:"attempt,omitempty"`
}

// Tally is a number of files and their size.
type Tally struct {
	// files counts files.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000000
	Files *int64 `json:"files,omitempty"`

	// bytes sums their sizes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Bytes *int64 `json:"bytes,omitempty"`
}

// PrefixLease grants one worker pod windows on some prefixes for a limited time, and
// holds the worker's report of the outcomes. It is named after the pod.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pfl,categories=cargoship
// +kubebuilder:printcolumn:name="Transfer",type=string,JSONPath=`.spec.transferName`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Duty",type=string,JSONPath=`.spec.duty`
// +kubebuilder:printcolumn:name="Granted",type=integer,JSONPath=`.spec.sequence`
// +kubebuilder:printcolumn:name="Observed",type=integer,JSONPath=`.status.observedSequence`
// +kubebuilder:printcolumn:name="Blocked",type=string,JSONPath=`.status.conditions[?(@.type=="Blocked")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PrefixLease struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the grant, written by the manager.
	// +required
	// +structType=atomic
	Spec PrefixLeaseSpec `json:"spec,omitzero"`

	// status is the report, written by the worker.
	// +optional
	Status PrefixLeaseStatus `json:"status,omitzero"`
}

// PrefixLeaseList is a list of PrefixLeases.
//
// +kubebuilder:object:root=true
type PrefixLeaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []PrefixLease `json:"items"`
}
