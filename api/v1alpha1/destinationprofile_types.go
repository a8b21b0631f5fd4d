package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DestinationProfileSpec names the destination of a profile.
type DestinationProfileSpec struct {
	// domain is what is controlled together: an endpoint and bucket, or quota: and a quota key,
	// with #read for what is read from there.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=640
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a profile is of one destination; delete it, and the manager makes another"
	Domain string `json:"domain,omitempty"`
}

// DestinationProfileStatus is what the manager has learned about the destination. It is
// written every few seconds at most; the older it is, the more careful the next leader.
// +kubebuilder:validation:MinProperties=1
type DestinationProfileStatus struct {
	// epoch is the epoch of the leader that wrote it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Epoch *int64 `json:"epoch,omitempty"`

	// window is the number of requests that the destination was granted in flight.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Window *int32 `json:"window,omitempty"`

	// baseLatencyMicroseconds is the median duration of a request that waits in no queue.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	BaseLatencyMicroseconds *int64 `json:"baseLatencyMicroseconds,omitempty"`

	// baseLatency is the same for people.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	BaseLatency string `json:"baseLatency,omitempty"`

	// requestsPerSecond is what the destination accepted, in the mean of the rounds in which
	// there was enough to send and no policy was the limit.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	RequestsPerSecond *int64 `json:"requestsPerSecond,omitempty"`

	// bytesPerSecond is the payload of these.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	BytesPerSecond *int64 `json:"bytesPerSecond,omitempty"`

	// throughput is the same for people.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Throughput string `json:"throughput,omitempty"`

	// confidencePercent grows with the rounds that were measured and shrinks with their
	// scatter. Half of it is left after a day without a transfer.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	ConfidencePercent *int32 `json:"confidencePercent,omitempty"`

	// snapshot is what a new leader starts from. Its format is internal and versioned.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	Snapshot string `json:"snapshot,omitempty"`

	// updateTime is when it was written.
	// +optional
	UpdateTime *metav1.Time `json:"updateTime,omitempty"`
}

// DestinationProfile is what the manager has learned about one endpoint and bucket, or all
// with one quota key. Only the manager creates and writes it. If it is deleted, it is created again while a transfer
// runs, and the next leader starts learning from scratch.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=dprof
// +kubebuilder:printcolumn:name="Domain",type=string,JSONPath=`.spec.domain`
// +kubebuilder:printcolumn:name="Window",type=integer,JSONPath=`.status.window`
// +kubebuilder:printcolumn:name="Latency",type=string,JSONPath=`.status.baseLatency`
// +kubebuilder:printcolumn:name="Requests/s",type=integer,JSONPath=`.status.requestsPerSecond`
// +kubebuilder:printcolumn:name="Throughput",type=string,JSONPath=`.status.throughput`
// +kubebuilder:printcolumn:name="Confidence",type=integer,JSONPath=`.status.confidencePercent`
// +kubebuilder:printcolumn:name="Updated",type=date,JSONPath=`.status.updateTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DestinationProfile struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec names the destination.
	// +required
	Spec DestinationProfileSpec `json:"spec,omitzero"`

	// status is what has been learned about it.
	// +optional
	Status DestinationProfileStatus `json:"status,omitzero"`
}

// DestinationProfileList is a list of DestinationProfiles.
//
// +kubebuilder:object:root=true
type DestinationProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []DestinationProfile `json:"items"`
}
