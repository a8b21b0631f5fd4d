package v1alpha1

// CoordinationStatus is the state of the destination's congestion control, which all
// transfers to the same bucket, or with the same quota key, share.
//
// +structType=atomic
type CoordinationStatus struct {
	// domain is what is controlled together: an endpoint and bucket, or quota: and a quota key,
	// with #read for what is read from there.
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

	// limitedBy is what keeps the transfer from moving more: Source, CPU, Memory, Window,
	// Rate, Path, Policer, Outage or Policy; absent if nothing that is measured does, or nothing has
	// been measured yet. `kubectl cargoship explain` gives the evidence.
	// +optional
	LimitedBy Limit `json:"limitedBy,omitempty"`

	// reason is one word for the last decision: on the rate if requests are paced, otherwise
	// on the window. Examples are QueueAboveTarget, SlowStart, ProbeStarted, Throttled and
	// OutagePersists; docs/control-law.md says where all are listed.
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

// Limit is what limits a transfer while it moves data.
// +kubebuilder:validation:Enum=Source;CPU;Memory;Window;Rate;Path;Policer;Outage;Policy
type Limit string

const (
	// LimitSource: the workers have too little to send.
	LimitSource Limit = "Source"
	// LimitCPU: the workers use all of their CPU.
	LimitCPU Limit = "CPU"
	// LimitMemory: the memory of the workers bounds their requests in flight.
	LimitMemory Limit = "Memory"
	// LimitWindow: the window is in use, and still grows or is fixed.
	LimitWindow Limit = "Window"
	// LimitRate: requests are paced by a rate that was learned earlier.
	LimitRate Limit = "Rate"
	// LimitPath: more requests in flight would only wait longer, on the network or in the server.
	LimitPath Limit = "Path"
	// LimitPolicer: the destination throttles requests.
	LimitPolicer Limit = "Policer"
	// LimitOutage: hardly any request succeeds.
	LimitOutage Limit = "Outage"
	// LimitPolicy: a CoordinationPolicy allows no more.
	LimitPolicy Limit = "Policy"
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
