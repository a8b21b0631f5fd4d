package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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

	// reportSequence counts the reports written to this lease; a new worker process
	// continues the count of the previous one.
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
//
// +structType=atomic
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

	// hedged counts those of started that were the second attempt at a request whose answer
	// was late. Absent means none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Hedged *int64 `json:"hedged,omitempty"`

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

	// attemptP50Microseconds is the median duration of a whole attempt, over the attempts
	// that ended in the last interval or in those of earlier reports that may be unread.
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
	// Window or Rate as granted, Policy where it waited most of the time for the pace of all it
	// sends, or Source where it had too little to send to use them up.
	// +optional
	LimitedBy Bottleneck `json:"limitedBy,omitempty"`

	// samples count the requests that started under the limits of the newest grant, then
	// those that started under the previous limits: the manager judges a decision by the
	// requests that it allowed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=2
	Samples []RequestSample `json:"samples,omitempty"`
}

// RequestSample counts the requests that a worker started under the same windows and rates.
type RequestSample struct {
	// epoch of the first grant with these windows and rates.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Epoch *int64 `json:"epoch,omitempty"`

	// sequence of the first grant with these windows and rates.
	// +required
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
// +kubebuilder:validation:Enum=Source;Window;Rate;Policy
type Bottleneck string

const (
	// LimitedBySource: the worker had too little to send.
	LimitedBySource Bottleneck = "Source"
	// LimitedByWindow: the window was in use.
	LimitedByWindow Bottleneck = "Window"
	// LimitedByRate: requests were paced.
	LimitedByRate Bottleneck = "Rate"
	// LimitedByPolicy: a CoordinationPolicy allowed no more.
	LimitedByPolicy Bottleneck = "Policy"
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

	// result is Retry if another attempt may succeed, otherwise Finished.
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
//
// +structType=atomic
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
