package v1alpha1

import corev1 "k8s.io/api/core/v1"

// LabelValue is the value of a label.
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$')",message="must be the value of a label: letters, digits, '-', '_' and '.', with a letter or digit at both ends"
type LabelValue string

// AnnotationValue is the value of an annotation.
// +kubebuilder:validation:MaxLength=16384
type AnnotationValue string

// Workers describes the pods that move the data.
type Workers struct {
	// count is the number of worker pods.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Count int32 `json:"count,omitempty"`

	// resources of the worker container. Its memory limit bounds the requests in flight.
	// +optional
	// +kubebuilder:default={requests: {cpu: "250m", memory: "256Mi"}, limits: {memory: "512Mi"}}
	Resources WorkerResources `json:"resources,omitzero"`

	// nodeSelector of the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'))",message="keys must be those of Kubernetes: at most 63 letters, digits, '-', '_' and '.', after a DNS name and '/' if they have a prefix"
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// tolerations of the pods.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(t, (!has(t.key) || size(t.key) <= 317) && (!has(t.value) || size(t.value) <= 63))",message="keys must have at most 317 characters and values 63"
	// +kubebuilder:validation:XValidation:rule="self.all(t, (!has(t.effect) || t.effect in ['', 'NoSchedule', 'PreferNoSchedule', 'NoExecute']) && (!has(t.operator) || size(t.operator) <= 16))",message="effect must be NoSchedule, PreferNoSchedule, NoExecute or absent"
	// +kubebuilder:validation:XValidation:rule="self.all(t, !has(t.operator) || t.operator != 'Exists' || !has(t.value) || t.value == '')",message="value must be absent with operator Exists"
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity of the pods. Absent spreads them over nodes where possible. Its size is
	// bounded only by the API server's limit for an object.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// priorityClassName of the pods.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')",message="must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// runtimeClassName of the pods.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')",message="must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// labels are added to the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'))",message="keys must be those of Kubernetes: at most 63 letters, digits, '-', '_' and '.', after a DNS name and '/' if they have a prefix"
	Labels map[string]LabelValue `json:"labels,omitempty"`

	// annotations are added to the pods.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'))",message="keys must be those of Kubernetes: at most 63 letters, digits, '-', '_' and '.', after a DNS name and '/' if they have a prefix"
	// +kubebuilder:validation:XValidation:rule="self.map(k, size(k) + size(self[k])).sum() <= 16384",message="must hold at most 16384 characters, keys and values together"
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`

	// jobLabels are added to the workers' Job, such as the name of a job queue.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'))",message="keys must be those of Kubernetes: at most 63 letters, digits, '-', '_' and '.', after a DNS name and '/' if they have a prefix"
	JobLabels map[string]LabelValue `json:"jobLabels,omitempty"`

	// image overrides the worker image that the manager is configured with.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$')",message="must be the name of an image, without spaces"
	Image string `json:"image,omitempty"`

	// imagePullSecrets are Secrets in the transfer's namespace.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ImagePullSecrets []ImagePullSecret `json:"imagePullSecrets,omitempty"`

	// runAsUser is the user ID of the worker process. It must be able to read the source.
	// +optional
	// +kubebuilder:default=65532
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	RunAsUser int64 `json:"runAsUser,omitempty"`

	// supplementalGroups are additional group IDs of the worker process.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=2147483647
	SupplementalGroups []int64 `json:"supplementalGroups,omitempty"`
}

// WorkerResources are the resources of a worker container.
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",message="requests must not exceed limits"
type WorkerResources struct {
	// requests are the resources that the container is guaranteed.
	// +optional
	// +kubebuilder:validation:MaxProperties=6
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] || size(k) <= 317 && (k.contains('/') || k.startsWith('hugepages-')))",message="must name resources of a container: cpu, memory, ephemeral-storage, hugepages-SIZE or DOMAIN/NAME"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == string ? size(self[k]) <= 32 && !self[k].startsWith('-') : self[k] >= 0)",message="quantities must not be negative, and have at most 32 characters"
	Requests corev1.ResourceList `json:"requests,omitempty"`

	// limits are the most resources the container may use.
	// +optional
	// +kubebuilder:validation:MaxProperties=6
	// +kubebuilder:validation:XValidation:rule="self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] || size(k) <= 317 && (k.contains('/') || k.startsWith('hugepages-')))",message="must name resources of a container: cpu, memory, ephemeral-storage, hugepages-SIZE or DOMAIN/NAME"
	// +kubebuilder:validation:XValidation:rule="self.all(k, type(self[k]) == string ? size(self[k]) <= 32 && !self[k].startsWith('-') : self[k] >= 0)",message="quantities must not be negative, and have at most 32 characters"
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// ImagePullSecret names a Secret.
type ImagePullSecret struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')",message="must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
	Name string `json:"name,omitempty"`
}
