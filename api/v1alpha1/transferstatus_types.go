package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ArchiveTransferStatus is the observed state of the transfer. Only the manager writes it.
// +kubebuilder:validation:MinProperties=1
type ArchiveTransferStatus struct {
	// observedGeneration is the generation of the spec that the status reflects.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// conditions are Complete, Failed, Suspended, Progressing, Throttled and Degraded.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:XValidation:rule="size(self.message) <= 1024",message="the message of a condition has at most 1024 characters"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// startTime is when the workers' Job was created.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// drainStartTime is when the workers were told to exit, since every archive had ended
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

	// workers counts the worker pods.
	// +optional
	Workers *WorkersStatus `json:"workers,omitempty"`

	// checksumAlgorithm is the checksum that the destination verifies.
	// +optional
	// +kubebuilder:validation:Enum=CRC64NVME;CRC32C
	ChecksumAlgorithm string `json:"checksumAlgorithm,omitempty"`
}

// Progress counts planned, archived, failed and skipped files.
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
	// "0-41,43-99".
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	FinishedArchives *string `json:"finishedArchives,omitempty"`

	// exhaustedArchives counts the finished archives that used up their attempts. Their
	// files count as failed once everything else of the prefix has finished.
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

	// failed counts the files that could not be archived.
	// +optional
	Failed *Tally `json:"failed,omitempty"`

	// skipped counts the entries that are not archived.
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

// CoordinationStatus is the state of the destination's congestion control, which all
// transfers to the same bucket share.
type CoordinationStatus struct {
	// domain is the endpoint and bucket that are controlled together.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=640
	Domain string `json:"domain,omitempty"`

	// epoch counts the leaders that have controlled this transfer.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Epoch *int64 `json:"epoch,omitempty"`

	// state is SlowStart, CongestionAvoidance, FastRecovery or Recovery; absent once the
	// transfer has ended, as are limitedBy, reason, window and rate.
	// +optional
	// +kubebuilder:validation:Enum=SlowStart;CongestionAvoidance;FastRecovery;Recovery
	State string `json:"state,omitempty"`

	// limitedBy is what keeps the transfer from sending more: Source, CPU, Memory, Window,
	// Rate, Path, Policer or Outage; absent if nothing that is measured does, or nothing has
	// been measured yet. `kubectl cargoship explain` gives the evidence.
	// +optional
	LimitedBy Limit `json:"limitedBy,omitempty"`

	// reason is one word for the last decision: on the rate if that is in use, otherwise
	// on the window. Examples are QueueAboveTarget, SlowStart, ProbeStarted, Throttled and
	// OutagePersists; docs/control-law.md says where all are explained.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Z][A-Za-z]*$`
	Reason string `json:"reason,omitempty"`

	// window is the number of requests that the domain may have in flight.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Window *int32 `json:"window,omitempty"`

	// milliRequestsPerSecond is the paced rate of the domain; absent means unpaced.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	MilliRequestsPerSecond *int64 `json:"milliRequestsPerSecond,omitempty"`

	// metrics measure the coordination.
	// +optional
	Metrics *CoordinationMetrics `json:"metrics,omitempty"`
}

// Limit is what limits a transfer that moves.
// +kubebuilder:validation:Enum=Source;CPU;Memory;Window;Rate;Path;Policer;Outage
type Limit string

const (
	// LimitSource: the workers have too little to send.
	LimitSource Limit = "Source"
	// LimitCPU: the workers use up their processors.
	LimitCPU Limit = "CPU"
	// LimitMemory: the memory of the workers bounds their requests in flight.
	LimitMemory Limit = "Memory"
	// LimitWindow: the window is in use, and still grows or is fixed.
	LimitWindow Limit = "Window"
	// LimitRate: requests are paced by a rate that is known from before.
	LimitRate Limit = "Rate"
	// LimitPath: more requests in flight only wait, on the network or in the server.
	LimitPath Limit = "Path"
	// LimitPolicer: the destination throttles requests.
	LimitPolicer Limit = "Policer"
	// LimitOutage: hardly any request succeeds.
	LimitOutage Limit = "Outage"
)

// CoordinationMetrics measure the coordination; docs/operations.md gives the formulas.
type CoordinationMetrics struct {
	// overheadPerMille is the cost of coordination over about the last ten minutes: the
	// share of the window that was wanted but could not be used because workers had not
	// yet acknowledged its withdrawal, plus the share of the time that decisions took.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	OverheadPerMille *int32 `json:"overheadPerMille,omitempty"`

	// loadBalancePercent is the mean divided by the maximum of the workers' requests in
	// flight per slot of their windows: 100 when all are equally busy.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	LoadBalancePercent *int32 `json:"loadBalancePercent,omitempty"`

	// pipelineUtilizationPercent is the mean number of requests in flight divided by the
	// granted windows, in the last round.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	PipelineUtilizationPercent *int32 `json:"pipelineUtilizationPercent,omitempty"`

	// congestionEvents counts the reductions of the domain's window or rate.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	CongestionEvents *int64 `json:"congestionEvents,omitempty"`

	// congestionCauses counts the state changes due to congestion, by cause.
	// +optional
	// +listType=map
	// +listMapKey=cause
	// +kubebuilder:validation:MaxItems=16
	CongestionCauses []CongestionCause `json:"congestionCauses,omitempty"`

	// bytesPerSecond is the throughput of all transfers to the domain.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	BytesPerSecond *int64 `json:"bytesPerSecond,omitempty"`

	// adaptationPerMille is how much the window changes: the mean of |Δ ln W| per minute,
	// in thousandths. 0 is steady; 693 is a window that doubles or halves each minute.
	// +optional
	// +kubebuilder:validation:Minimum=0
	AdaptationPerMille *int32 `json:"adaptationPerMille,omitempty"`

	// archivesMoved counts the archives reassigned because another worker would finish
	// them sooner.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	ArchivesMoved *int64 `json:"archivesMoved,omitempty"`

	// improvementPercent is the mean throughput since the baseline in percent of that of
	// the baseline, which is the rounds with the initial window. 100 means no change;
	// values are capped at 1000. Absent for the first ten seconds after the baseline, and
	// when the baseline has too few accepted requests to compare with.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	ImprovementPercent *int32 `json:"improvementPercent,omitempty"`

	// latencyReductionPercent is how much the mean latency has dropped since the baseline;
	// negative when it has risen, at most to -900. Absent when improvementPercent is.
	// +optional
	// +kubebuilder:validation:Minimum=-900
	// +kubebuilder:validation:Maximum=100
	LatencyReductionPercent *int32 `json:"latencyReductionPercent,omitempty"`
}

// CongestionCause counts the state changes of one cause.
type CongestionCause struct {
	// cause is Throttled, QueueGrowth, NoSuccess or PersistentThrottling.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Cause string `json:"cause,omitempty"`

	// count since the manager took control.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Count *int64 `json:"count,omitempty"`
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
