package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CoordinationPolicySpec is what an administrator allows at some destinations.
// +kubebuilder:validation:MinProperties=1
type CoordinationPolicySpec struct {
	// match selects the destinations that the policy governs. Absent means all. If several
	// policies match a destination, the most specific governs it: one that names the bucket
	// before one that names only the endpoint.
	// +optional
	Match DestinationMatch `json:"match,omitzero"`

	// quotaKey names a quota above the bucket that the destinations use, such as that of a KMS
	// key, an account or a link. All destinations with one key, of however many policies, are
	// controlled as one: limits, shares and parameters of these policies then hold for all of
	// them together. Absent means that each destination is controlled by itself.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="must be lower-case letters, digits and '-'"
	QuotaKey string `json:"quotaKey,omitempty"`

	// limits bound what all transfers and restores do together at each destination, or at all
	// with the quota key. Where several are in force, the lowest of each kind holds.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Limits []DestinationLimit `json:"limits,omitempty"`

	// namespaces say how destinations are shared, and who may use them. Others have the weight
	// of their transfers.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Namespaces []NamespaceShare `json:"namespaces,omitempty"`

	// coordination are the parameters of the control law at the destinations. They take the
	// place of those of transfers, which count only where no policy sets any.
	// +optional
	Coordination *LawParameters `json:"coordination,omitempty"`
}

// AccessDenied is the access of a namespace that may not use a destination.
const AccessDenied = "Denied"

// NamespaceShare is what a namespace may have of a destination.
// +kubebuilder:validation:XValidation:rule="has(self.weight) || has(self.maxSharePercent) || has(self.access)",message="must say something: set weight, maxSharePercent or access"
type NamespaceShare struct {
	// name of the namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// weight is its share relative to other namespaces, in place of the largest weight of its
	// transfers.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Weight int32 `json:"weight,omitempty"`

	// maxSharePercent is the greatest part of the destination that it may have, whoever else
	// uses it or not.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxSharePercent int32 `json:"maxSharePercent,omitempty"`

	// access is Denied for a namespace that may not use the destination at all: what runs is
	// held, and nothing else is started.
	// +optional
	// +kubebuilder:validation:Enum=Allowed;Denied
	Access string `json:"access,omitempty"`
}

// LawParameters are those parameters of the control law that all transfers to a destination
// share.
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.updateInterval) || !has(self.leaseDuration) || duration(self.updateInterval) + duration(self.updateInterval) + duration(self.updateInterval) <= duration(self.leaseDuration)",message="leaseDuration must be at least three times updateInterval, so that a lease outlasts a lost report"
type LawParameters struct {
	// globalCongestionWindow is the initial congestion window.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	GlobalCongestionWindow int32 `json:"globalCongestionWindow,omitempty"`

	// slowStartThreshold is the window below which slow start keeps doubling
	// unconditionally.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	SlowStartThreshold int32 `json:"slowStartThreshold,omitempty"`

	// updateInterval is the control interval, and the shortest interval between reports.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('500ms') && duration(self) <= duration('1m')",message="must be between 500ms and 1m"
	UpdateInterval metav1.Duration `json:"updateInterval,omitempty,omitzero"`

	// leaseDuration is how long a worker may use a grant that is not renewed.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('10m')",message="must be between 5s and 10m"
	LeaseDuration metav1.Duration `json:"leaseDuration,omitempty,omitzero"`

	// learningRatePercent is the weight of a new measurement relative to the learned trend.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	LearningRatePercent int32 `json:"learningRatePercent,omitempty"`

	// bandwidthProbingRatePercent is the initial step by which a probe raises the rate.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	BandwidthProbingRatePercent int32 `json:"bandwidthProbingRatePercent,omitempty"`

	// congestionSensitivityPercent decides what share of throttled requests counts as
	// congestion: more than 2 % at 80, more than 10 % at 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=99
	CongestionSensitivityPercent *int32 `json:"congestionSensitivityPercent,omitempty"`

	// recoveryAggressivenessPercent scales how fast the window grows after congestion.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=1000
	RecoveryAggressivenessPercent int32 `json:"recoveryAggressivenessPercent,omitempty"`
}

// DestinationMatch selects destinations.
// +kubebuilder:validation:MinProperties=1
type DestinationMatch struct {
	// endpoint is the URL of a server, however it is written. That of Amazon S3 without a
	// region, https://s3.amazonaws.com, stands for all regions. Absent means any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([A-Za-z0-9._-]+|[[][0-9A-Fa-f:.]+[]])(:[0-9]{1,5})?(/[A-Za-z0-9._~+=-]*)*$') && isURL(self)",message="must be an http:// or https:// URL with a host, without user, password, query or fragment"
	// +kubebuilder:validation:XValidation:rule="!self.split('/').exists(s, s == '.' || s == '..')",message="must not hold '.' or '..' as a segment"
	Endpoint string `json:"endpoint,omitempty"`

	// bucket is the name of a bucket. Absent means any.
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9.-]*[a-z0-9]$')",message="must be a bucket name: lower-case letters, digits, '.' and '-', beginning and ending with a letter or digit"
	Bucket string `json:"bucket,omitempty"`
}

// DestinationLimit bounds what all transfers and restores of a destination do together. A
// limit of zero suspends them.
// +kubebuilder:validation:XValidation:rule="has(self.bytesPerSecond) || has(self.requestsPerSecond) || has(self.requestsInFlight)",message="must limit something: set bytesPerSecond, requestsPerSecond or requestsInFlight"
type DestinationLimit struct {
	// name identifies the limit in status and events.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="must be lower-case letters, digits and '-'"
	Name string `json:"name,omitempty"`

	// bytesPerSecond bounds the bytes of bodies sent and read, such as 100M or 64Mi.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).compareTo(quantity('0')) >= 0 && quantity(string(self)).compareTo(quantity('1P')) <= 0",message="must be a whole number of bytes per second between 0 and 1P, such as 100M or 64Mi"
	BytesPerSecond *resource.Quantity `json:"bytesPerSecond,omitempty"`

	// requestsPerSecond bounds the requests started.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	RequestsPerSecond *int32 `json:"requestsPerSecond,omitempty"`

	// requestsInFlight bounds the requests in flight at once.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	RequestsInFlight *int32 `json:"requestsInFlight,omitempty"`

	// schedule is when the limit is in force. Absent means always.
	// +optional
	Schedule *LimitSchedule `json:"schedule,omitempty"`
}

// Weekday is a day of the week.
// +kubebuilder:validation:Enum=Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday
type Weekday string

// LimitSchedule is a span of time on some days of the week.
type LimitSchedule struct {
	// days are the days on which the span begins. Absent means every day.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Days []Weekday `json:"days,omitempty"`

	// from is the time of day at which the span begins, as HH:MM. If clocks are set forward
	// past it, the span begins at that moment; if they show it twice, the first time.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')",message="must be a time of day from 00:00 to 23:59"
	From string `json:"from,omitempty"`

	// to is the time of day at which the span ends, as HH:MM, up to 24:00. If it is not
	// after from, it is on the next day.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')",message="must be a time of day from 00:00 to 24:00"
	To string `json:"to,omitempty"`

	// timeZone is the name of a zone in the IANA database, such as Europe/Berlin. Absent
	// means UTC. With an unknown one the limit holds always, and the condition Ready is false.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
}

// CoordinationPolicyStatus is the part of a policy that is in force now.
// +kubebuilder:validation:MinProperties=1
type CoordinationPolicyStatus struct {
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// inForce are the limits of the policy that hold now, at each destination that it governs or
	// at all with its quota key together.
	// +optional
	InForce *LimitsInForce `json:"inForce,omitempty"`

	// destinations lists the governed destinations that are in use, 64 at most.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=640
	Destinations []string `json:"destinations,omitempty"`

	// controlledTogether lists the destinations in use that are controlled as one by the
	// policy's quota key, also those that other policies with it govern, 64 at most.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=640
	ControlledTogether []string `json:"controlledTogether,omitempty"`

	// conditions are Ready, true while the policy is in force as it is written, and Suspended, true while
	// a limit of zero is in force.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// LimitsInForce are the limits that hold at present.
// +kubebuilder:validation:MinProperties=1
type LimitsInForce struct {
	// limits names those that are in force.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Limits []string `json:"limits,omitempty"`

	// bytesPerSecond is the lowest such limit. Absent means none.
	// +optional
	BytesPerSecond *resource.Quantity `json:"bytesPerSecond,omitempty"`

	// requestsPerSecond is the lowest such limit. Absent means none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RequestsPerSecond *int32 `json:"requestsPerSecond,omitempty"`

	// requestsInFlight is the lowest such limit. Absent means none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	RequestsInFlight *int32 `json:"requestsInFlight,omitempty"`

	// since is when this came into force, until when something else will. Absent means never.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// until is when something else comes into force. Absent means never.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}

// CoordinationPolicy limits what all transfers and restores do at some destinations.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=cpol,categories=cargoship
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.spec.match.endpoint`
// +kubebuilder:printcolumn:name="Bucket",type=string,JSONPath=`.spec.match.bucket`
// +kubebuilder:printcolumn:name="Quota key",type=string,JSONPath=`.spec.quotaKey`
// +kubebuilder:printcolumn:name="Bytes/s",type=string,JSONPath=`.status.inForce.bytesPerSecond`
// +kubebuilder:printcolumn:name="Requests/s",type=integer,JSONPath=`.status.inForce.requestsPerSecond`
// +kubebuilder:printcolumn:name="In flight",type=integer,JSONPath=`.status.inForce.requestsInFlight`
// +kubebuilder:printcolumn:name="Until",type=string,JSONPath=`.status.inForce.until`
// +kubebuilder:printcolumn:name="Suspended",type=string,JSONPath=`.status.conditions[?(@.type=="Suspended")].status`,priority=1
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CoordinationPolicy struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what is allowed, and where.
	// +required
	Spec CoordinationPolicySpec `json:"spec,omitzero"`

	// status is what is in force.
	// +optional
	Status CoordinationPolicyStatus `json:"status,omitzero"`
}

// CoordinationPolicyList is a list of CoordinationPolicies.
//
// +kubebuilder:object:root=true
type CoordinationPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []CoordinationPolicy `json:"items"`
}
