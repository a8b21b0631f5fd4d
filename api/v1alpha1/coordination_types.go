package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CoordinationMode chooses between shared and fixed windows.
// +kubebuilder:validation:Enum=Coordinated;Uncoordinated
type CoordinationMode string

const (
	// ModeCoordinated leases windows and rates from the controller that all workers
	// writing to one bucket share.
	ModeCoordinated CoordinationMode = "Coordinated"
	// ModeUncoordinated gives every worker fixed windows, as other tools do.
	ModeUncoordinated CoordinationMode = "Uncoordinated"
)

// TransferStrategy chooses how a window is divided over prefixes.
// +kubebuilder:validation:Enum=TCPLike;FairShare;Adaptive
type TransferStrategy string

// BandwidthStrategy chooses how a paced rate is divided over prefixes.
// +kubebuilder:validation:Enum=FairShare;Proportional
type BandwidthStrategy string

// Coordination tunes the congestion control that all workers share. The defaults suit
// most transfers.
// +kubebuilder:validation:XValidation:rule="!has(self.updateInterval) || !has(self.leaseDuration) || duration(self.updateInterval) + duration(self.updateInterval) + duration(self.updateInterval) <= duration(self.leaseDuration)",message="leaseDuration must be at least three times updateInterval, so that a lease outlasts a lost report"
type Coordination struct {
	// mode is Coordinated, or Uncoordinated for fixed windows.
	// +optional
	// +kubebuilder:default=Coordinated
	Mode CoordinationMode `json:"mode,omitempty"`

	// strategy divides the window among prefixes: TCPLike grows a window for each prefix,
	// FairShare divides it by weight, Adaptive by measured marginal goodput.
	// +optional
	// +kubebuilder:default=Adaptive
	Strategy TransferStrategy `json:"strategy,omitempty"`

	// bandwidthStrategy divides the paced rate among prefixes: FairShare by weight,
	// Proportional in proportion to the windows.
	// +optional
	// +kubebuilder:default=FairShare
	BandwidthStrategy BandwidthStrategy `json:"bandwidthStrategy,omitempty"`

	// pipelineDepth is how many archives are assigned to a worker ahead of time for each
	// prefix that it serves, divided in proportion to its windows. It is exceeded when
	// archives finish faster than they are assigned, up to 64 on one prefix and 128 in all.
	// +optional
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	PipelineDepth int32 `json:"pipelineDepth,omitempty"`

	// globalCongestionWindow is the initial congestion window: the number of requests in
	// flight over all workers.
	// +optional
	// +kubebuilder:default=32
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	GlobalCongestionWindow int32 `json:"globalCongestionWindow,omitempty"`

	// slowStartThreshold is the window below which slow start keeps doubling
	// unconditionally.
	// +optional
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	SlowStartThreshold int32 `json:"slowStartThreshold,omitempty"`

	// maxActivePrefixes is the maximum number of prefixes that hold a window at once.
	// +optional
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MaxActivePrefixes int32 `json:"maxActivePrefixes,omitempty"`

	// updateInterval is the control interval, and the shortest interval between reports.
	// +optional
	// +kubebuilder:default="2s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('500ms') && duration(self) <= duration('1m')",message="must be between 500ms and 1m"
	UpdateInterval metav1.Duration `json:"updateInterval,omitempty,omitzero"`

	// leaseDuration is how long a worker may use a grant that is not renewed.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('10m')",message="must be between 5s and 10m"
	LeaseDuration metav1.Duration `json:"leaseDuration,omitempty,omitzero"`

	// advancedFlowControl is Enabled to pace requests and probe for bandwidth in addition to
	// the window.
	// +optional
	// +kubebuilder:default=Enabled
	// +kubebuilder:validation:Enum=Enabled;Disabled
	AdvancedFlowControl string `json:"advancedFlowControl,omitempty"`

	// adaptive are the parameters of the control law.
	// +optional
	// +kubebuilder:default={}
	Adaptive AdaptiveParameters `json:"adaptive,omitzero"`

	// uncoordinated are the fixed windows of mode Uncoordinated.
	// +optional
	// +kubebuilder:default={}
	Uncoordinated FixedWindows `json:"uncoordinated,omitzero"`
}

// AdaptiveParameters are the parameters of the control law.
type AdaptiveParameters struct {
	// learningRatePercent is the weight of a new measurement relative to the learned
	// trend.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	LearningRatePercent int32 `json:"learningRatePercent,omitempty"`

	// bandwidthProbingRatePercent is the initial step by which a probe raises the rate.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	BandwidthProbingRatePercent int32 `json:"bandwidthProbingRatePercent,omitempty"`

	// congestionSensitivityPercent decides what share of throttled requests counts as
	// congestion: more than 2 % at 80, more than 10 % at 0.
	// +optional
	// +kubebuilder:default=80
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=99
	CongestionSensitivityPercent *int32 `json:"congestionSensitivityPercent,omitempty"`

	// recoveryAggressivenessPercent scales how fast the window grows after congestion.
	// +optional
	// +kubebuilder:default=120
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=1000
	RecoveryAggressivenessPercent int32 `json:"recoveryAggressivenessPercent,omitempty"`
}

// FixedWindows are the windows of mode Uncoordinated.
type FixedWindows struct {
	// maxPrefixes is the number of prefixes each worker sends to at once.
	// +optional
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MaxPrefixes int32 `json:"maxPrefixes,omitempty"`

	// maxConcurrentUploads is each worker's fixed window on a prefix.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	MaxConcurrentUploads int32 `json:"maxConcurrentUploads,omitempty"`
}
