package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ArchiveTransferStatus is the observed state of the transfer. Only the manager writes it.
// +kubebuilder:validation:MinProperties=1
type ArchiveTransferStatus struct {
	// observedGeneration is the generation of the spec that the status reflects.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// conditions are Complete, Failed, Suspended, Progressing, Throttled and Degraded, and
	// for generic tools (kstatus) Ready, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:XValidation:rule="size(self.message) <= 1024",message="the message of a condition has at most 1024 characters"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// startTime is when the workers' Job was created.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// drainStartTime is when the workers were told to exit, because every archive had ended
	// or the failure policy stopped the transfer.
	// +optional
	DrainStartTime *metav1.Time `json:"drainStartTime,omitempty"`

	// completionTime is when the transfer ended, complete or failed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// duration is the time from start to completion in human-readable form, such as
	// "2h13m5s".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Duration string `json:"duration,omitempty"`

	// estimatedCompletionTime is when the transfer will end at the current throughput;
	// absent once it has ended.
	// +optional
	EstimatedCompletionTime *metav1.Time `json:"estimatedCompletionTime,omitempty"`

	// progress counts planned, archived, failed and skipped files.
	// +optional
	Progress *Progress `json:"progress,omitempty"`

	// prefixes is the progress and performance of each prefix.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Prefixes []PrefixStatus `json:"prefixes,omitempty"`

	// failures lists the first archives with failed files.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Failures []ArchiveFailure `json:"failures,omitempty"`

	// coordination is the state of the destination's congestion control.
	// +optional
	Coordination *CoordinationStatus `json:"coordination,omitempty"`

	// sending is what the workers of a transfer have sent over time; absent for a restore.
	// +optional
	Sending *SendingStatus `json:"sending,omitempty"`

	// workers counts the worker pods.
	// +optional
	Workers *WorkersStatus `json:"workers,omitempty"`

	// checksumAlgorithm is the checksum that the destination verifies.
	// +optional
	// +kubebuilder:validation:Enum=CRC64NVME;CRC32C
	ChecksumAlgorithm string `json:"checksumAlgorithm,omitempty"`
}

// Progress counts planned, archived, failed and skipped files.
//
// +structType=atomic
type Progress struct {
	// planning is Running while the source is still being listed, then Complete.
	// +optional
	// +kubebuilder:validation:Enum=Running;Complete
	Planning string `json:"planning,omitempty"`

	// percent of the planned bytes that are done, failed or skipped, once planning is
	// complete.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent *int32 `json:"percent,omitempty"`

	// summary is done and planned bytes in human-readable form, such as "1.2/4.0 GiB".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Summary string `json:"summary,omitempty"`

	// bytesPerSecond is the current throughput of all workers, and the mean from start to
	// completion once the transfer has ended.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	BytesPerSecond *int64 `json:"bytesPerSecond,omitempty"`

	// throughput is bytesPerSecond in human-readable form, such as "118 MiB/s".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Throughput string `json:"throughput,omitempty"`

	// planned counts the files that the inventory lists so far.
	// +optional
	Planned *Tally `json:"planned,omitempty"`

	// done counts the files that were uploaded and verified.
	// +optional
	Done *Tally `json:"done,omitempty"`

	// failed counts the files that could not be archived.
	// +optional
	Failed *Tally `json:"failed,omitempty"`

	// skipped counts the entries that are not archived: sockets, devices, dangling links.
	// +optional
	Skipped *Tally `json:"skipped,omitempty"`

	// archivesPlanned counts the archives of the inventory so far.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000
	ArchivesPlanned *int64 `json:"archivesPlanned,omitempty"`

	// archivesFinished counts the archives that are done or have failed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000
	ArchivesFinished *int64 `json:"archivesFinished,omitempty"`
}

// PrefixStatus is the progress and performance of one prefix.
//
// +structType=atomic
type PrefixStatus struct {
	// name of the prefix, without the destination's base prefix.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Name string `json:"name,omitempty"`

	// archives counts the archives of the inventory so far, numbered from 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000
	Archives *int64 `json:"archives,omitempty"`

	// finishedArchives lists the numbers of the finished archives as ranges, such as
	// "0-41,43-99". Where those of all prefixes would take more than 4 KiB it is "packed,"
	// and digits of base64 for URLs, six bits each: one bit that is 1 if archive 0 is
	// finished, then the lengths of the runs of finished and of other archives, by turns, up to
	// the last finished one, each as an Elias gamma code, and zeros that fill the last digit.
	// "packed,gqg5" is "0-41,43-99".
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	FinishedArchives *string `json:"finishedArchives,omitempty"`

	// exhaustedArchives counts the finished archives that used up their attempts. Their
	// files count as failed once everything else of the prefix has finished. Absent for none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000
	ExhaustedArchives *int64 `json:"exhaustedArchives,omitempty"`

	// planned counts the files that the inventory lists so far.
	// +optional
	Planned *Tally `json:"planned,omitempty"`

	// done counts the files that were uploaded and verified.
	// +optional
	Done *Tally `json:"done,omitempty"`

	// failed counts the files that could not be archived. Absent for none.
	// +optional
	Failed *Tally `json:"failed,omitempty"`

	// skipped counts the entries that are not archived. Absent for none.
	// +optional
	Skipped *Tally `json:"skipped,omitempty"`

	// window is the number of requests granted in flight, over all workers.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Window *int32 `json:"window,omitempty"`

	// milliRequestsPerSecond is the paced rate granted over all workers.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	MilliRequestsPerSecond *int64 `json:"milliRequestsPerSecond,omitempty"`

	// bytesPerSecond is the current throughput.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	BytesPerSecond *int64 `json:"bytesPerSecond,omitempty"`

	// serviceP50Microseconds is the median service time of a request.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	ServiceP50Microseconds *int64 `json:"serviceP50Microseconds,omitempty"`

	// serviceP99Microseconds is its 99th percentile.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	ServiceP99Microseconds *int64 `json:"serviceP99Microseconds,omitempty"`

	// throttledPerMille is the share of recent requests that were throttled.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	ThrottledPerMille *int32 `json:"throttledPerMille,omitempty"`
}

// ArchiveFailure says why files of an archive failed.
type ArchiveFailure struct {
	// prefix of the archive.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Prefix string `json:"prefix,omitempty"`

	// number of the archive within its prefix.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=99999999
	Number *int64 `json:"number,omitempty"`

	// reason is a machine-readable word for the first file that failed.
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

// WorkersStatus counts the worker pods.
type WorkersStatus struct {
	// desired is the number of workers requested.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Desired *int32 `json:"desired,omitempty"`

	// leased is the number that hold a lease and report.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Leased *int32 `json:"leased,omitempty"`

	// blocked is the number that cannot proceed until someone fixes a problem.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Blocked *int32 `json:"blocked,omitempty"`

	// failed is the number of pods that have failed and were replaced.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failed *int32 `json:"failed,omitempty"`
}
