package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// SendingStatus is what the workers have sent over time. It becomes part of the report of the run.
//
// +structType=atomic
type SendingStatus struct {
	// startTime is when counting began: soon after the workers were asked for, later where an
	// earlier release had begun the transfer.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// lastTime is when something was counted last.
	// +optional
	LastTime *metav1.Time `json:"lastTime,omitempty"`

	// secondsEach is the length of an interval of bytes and throttled. It doubles when there
	// would be too many of them.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	SecondsEach int64 `json:"secondsEach,omitempty"`

	// bytes is the payload of accepted requests in each interval since startTime.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Minimum=0
	// +kubebuilder:validation:items:Maximum=9007199254740992
	Bytes []int64 `json:"bytes,omitempty"`

	// throttled counts the requests that the destination throttled, in the same intervals.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:Minimum=0
	// +kubebuilder:validation:items:Maximum=9007199254740992
	Throttled []int64 `json:"throttled,omitempty"`

	// throttledPrefixes counts the same by prefix; one that is absent was never throttled. What
	// was sent while no manager ran is in throttled only.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	ThrottledPrefixes []PrefixThrottling `json:"throttledPrefixes,omitempty"`

	// requests counts the requests begun.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Requests *int64 `json:"requests,omitempty"`

	// failed counts those that failed for another reason than throttling.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Failed *int64 `json:"failed,omitempty"`

	// unwatchedSeconds is for how long data moved while no manager ran. What was sent then is
	// known, and drawn evenly, since when it was sent is not.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	UnwatchedSeconds *int64 `json:"unwatchedSeconds,omitempty"`

	// reported sums the counters in the leases that there are. A new manager takes what they have
	// grown by since for what was sent meanwhile.
	// +optional
	Reported *SentCounters `json:"reported,omitempty"`
}

// PrefixThrottling counts the throttled requests of a prefix.
type PrefixThrottling struct {
	// name of the prefix, without the destination's base prefix.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Name string `json:"name,omitempty"`

	// throttled counts the requests that the destination throttled.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Throttled *int64 `json:"throttled,omitempty"`
}

// SentCounters are counters of workers, summed up.
type SentCounters struct {
	// bytes is the payload of accepted requests.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Bytes *int64 `json:"bytes,omitempty"`

	// requests counts the requests begun.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Requests *int64 `json:"requests,omitempty"`

	// throttled counts those that the destination throttled.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Throttled *int64 `json:"throttled,omitempty"`

	// failed counts those that failed for another reason.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	Failed *int64 `json:"failed,omitempty"`
}
