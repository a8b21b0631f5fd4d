package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LeaseMode says what a worker shall do with its lease.
// +kubebuilder:validation:Enum=Active;Drain
type LeaseMode string

const (
	// LeaseActive lets the worker send within its grant.
	LeaseActive LeaseMode = "Active"
	// LeaseDrain tells the worker to abort what is in flight and exit.
	LeaseDrain LeaseMode = "Drain"
)

// Duty is a task a worker is leased besides moving archives.
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

	// acknowledgedReport is the reportSequence of the last report that the manager
	// has taken in and recorded. The lease runs for leaseDuration from the moment
	// the worker sent that report, by the worker's own monotonic clock.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	AcknowledgedReport *int64 `json:"acknowledgedReport,omitempty"`

	// acknowledgedInstance is the worker process that sent acknowledgedReport. To any
	// other the report is not its own, and the grant gives it no lease: a report
	// of the process before may arrive when the next has already begun.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	AcknowledgedInstance string `json:"acknowledgedInstance,omitempty"`

	// leaseDuration is how long the grant holds, counted as acknowledgedReport says.
	// +required
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="must be between 1s and 1h"
	LeaseDuration metav1.Duration `json:"leaseDuration,omitempty"`

	// reportInterval is how often the worker reports.
	// +required
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('100ms') && duration(self) <= duration('10m')",message="must be between 100ms and 10m"
	ReportInterval metav1.Duration `json:"reportInterval,omitempty"`

	// mode is Active, or Drain to make the worker stop sending, abort what is in flight
	// and exit.
	// +required
	Mode LeaseMode `json:"mode,omitempty"`

	// duty is a task besides moving archives.
	// +optional
	Duty Duty `json:"duty,omitempty"`

	// prefixes are the windows, rates and archives granted on each prefix.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
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

// PrefixLeaseStatus is the worker's report. Only the worker that holds the lease writes
// it. Counters are cumulative over the life of the worker process, so that a lost or
// repeated report does no harm.
type PrefixLeaseStatus struct {
	// instance identifies the worker process; a new value means that the counters
	// of the prefixes start again from zero.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Instance string `json:"instance,omitempty"`

	// reportSequence counts the reports into this lease; that of a new worker
	// process follows those of the one before.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	ReportSequence *int64 `json:"reportSequence,omitempty"`

	// uptimeMilliseconds is how long the worker process had run when it wrote the
	// report, by its own monotonic clock: the time between two reports, over which
	// rates are taken.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	UptimeMilliseconds *int64 `json:"uptimeMilliseconds,omitempty"`

	// observedEpoch is the epoch of the grant the worker acts on.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	ObservedEpoch *int64 `json:"observedEpoch,omitempty"`

	// observedSequence is the sequence of the grant the worker acts on.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	ObservedSequence *int64 `json:"observedSequence,omitempty"`

	// maxInFlight is the most requests the worker can have in flight, from its memory limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	MaxInFlight *int32 `json:"maxInFlight,omitempty"`

	// milliCPU is the processor time that the worker used since the last report, in
	// thousandths of a processor.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	MilliCPU *int64 `json:"milliCPU,omitempty"`

	// checksumAlgorithm is the checksum that the destination verifies.
	// +optional
	// +kubebuilder:validation:Enum=CRC64NVME;CRC32C
	ChecksumAlgorithm string `json:"checksumAlgorithm,omitempty"`

	// prefixes are the counters of each prefix the worker has sent to.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Prefixes []PrefixReport `json:"prefixes,omitempty"`

	// finished lists the archives that finished since acknowledgedReport. An archive is
	// listed only after the destination has confirmed every object and checksum of it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Finished []FinishedArchive `json:"finished,omitempty"`

	// plan is the state of the planning duty, if this worker holds it.
	// +optional
	Plan *PlanReport `json:"plan,omitempty"`

	// conditions are Blocked, Drained and Degraded.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(c, size(c.message) <= 1024 && size(c.reason) <= 64 && size(c.type) <= 64 && (!has(c.observedGeneration) || c.observedGeneration <= 9007199254740992))",message="a condition has a message of at most 1024 characters, and a type and a reason of at most 64"
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// PrefixReport holds the cumulative counters of one prefix at one worker.
type PrefixReport struct {
	// name is the prefix, without the destination's base prefix.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Name string `json:"name,omitempty"`

	// started counts requests begun.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Started *int64 `json:"started,omitempty"`

	// accepted counts requests that succeeded.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Accepted *int64 `json:"accepted,omitempty"`

	// throttled counts requests that the destination throttled.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Throttled *int64 `json:"throttled,omitempty"`

	// failed counts requests that failed for any other reason.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Failed *int64 `json:"failed,omitempty"`

	// bytes counts the payload of accepted requests.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Bytes *int64 `json:"bytes,omitempty"`

	// busyMicroseconds sums the duration of all requests.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	BusyMicroseconds *int64 `json:"busyMicroseconds,omitempty"`

	// maxInFlight is the most requests in flight at once during the last interval.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxInFlight *int32 `json:"maxInFlight,omitempty"`

	// attemptP50Microseconds is the median duration of a whole attempt, of those that
	// ended in the last interval and those of reports before that may not have been read.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	AttemptP50Microseconds *int64 `json:"attemptP50Microseconds,omitempty"`

	// serviceP50Microseconds is the median time from the last byte sent to the
	// first byte received, of the same attempts.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	ServiceP50Microseconds *int64 `json:"serviceP50Microseconds,omitempty"`

	// serviceP99Microseconds is its 99th percentile.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	ServiceP99Microseconds *int64 `json:"serviceP99Microseconds,omitempty"`

	// limitedBy is what kept the worker from sending more during the last interval:
	// Window or Rate as granted, or Source where it had too little to send to use them up.
	// +optional
	LimitedBy Bottleneck `json:"limitedBy,omitempty"`

	// samples count, of all these requests, those that started under the limits of the
	// newest grant, and those that started under the limits before, in this order: the
	// manager judges a decision by the requests that it allowed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	Samples []RequestSample `json:"samples,omitempty"`
}

// RequestSample counts the requests that a worker started under the same windows and rates.
type RequestSample struct {
	// epoch is that of the first grant with these windows and rates.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Epoch *int64 `json:"epoch,omitempty"`

	// sequence is that of the first grant with these windows and rates.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Sequence *int64 `json:"sequence,omitempty"`

	// started counts requests begun.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Started *int64 `json:"started,omitempty"`

	// accepted counts those that succeeded.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Accepted *int64 `json:"accepted,omitempty"`

	// throttled counts those that the destination throttled.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Throttled *int64 `json:"throttled,omitempty"`

	// failed counts those that failed for any other reason.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Failed *int64 `json:"failed,omitempty"`
}

// Bottleneck is what limits a worker on a prefix, or a transfer.
// +kubebuilder:validation:Enum=Source;Window;Rate
type Bottleneck string

const (
	// LimitedBySource: the worker had too little to send.
	LimitedBySource Bottleneck = "Source"
	// LimitedByWindow: the window was in use.
	LimitedByWindow Bottleneck = "Window"
	// LimitedByRate: requests were paced.
	LimitedByRate Bottleneck = "Rate"
)

// ArchiveResult is how an attempt at an archive ended.
// +kubebuilder:validation:Enum=Finished;Retry
type ArchiveResult string

const (
	// ArchiveFinished: the outcome of every file is final.
	ArchiveFinished ArchiveResult = "Finished"
	// ArchiveRetry: another attempt may succeed where this one failed.
	ArchiveRetry ArchiveResult = "Retry"
)

// FinishedArchive is the outcome of one assigned archive.
type FinishedArchive struct {
	// prefix is the prefix of the archive.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Prefix string `json:"prefix,omitempty"`

	// number is the archive's place in the inventory of its prefix.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=99999999
	Number *int64 `json:"number,omitempty"`

	// done counts the files that were uploaded and verified.
	// +optional
	Done *Tally `json:"done,omitempty"`

	// failed counts the files that could not be archived.
	// +optional
	Failed *Tally `json:"failed,omitempty"`

	// skipped counts the entries that are not archived: sockets, devices, dangling links.
	// +optional
	Skipped *Tally `json:"skipped,omitempty"`

	// result is Retry where another attempt may succeed, else Finished.
	// +required
	Result ArchiveResult `json:"result,omitempty"`

	// reason is a machine-readable word for the first failure or skip.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// message says what was attempted, on what, and what went wrong.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// PlanReport is the state of the planning duty.
type PlanReport struct {
	// state is Running while the source is being listed, Complete once the whole
	// inventory is in the bucket.
	// +required
	// +kubebuilder:validation:Enum=Running;Complete
	State string `json:"state,omitempty"`

	// prefixes counts the part of the inventory that is in the bucket.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Prefixes []PlannedPrefix `json:"prefixes,omitempty"`
}

// PlannedPrefix counts the inventory of one prefix.
type PlannedPrefix struct {
	// name is the prefix, without the destination's base prefix.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Name string `json:"name,omitempty"`

	// archives counts the archives; they are numbered from 0.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000
	Archives *int64 `json:"archives,omitempty"`

	// files counts the files in them.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000000
	Files *int64 `json:"files,omitempty"`

	// bytes sums the sizes of those files.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Bytes *int64 `json:"bytes,omitempty"`
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
