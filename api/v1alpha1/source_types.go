package v1alpha1

// Source is the volume to archive.
// +kubebuilder:validation:ExactlyOneOf=persistentVolumeClaim;nfs;hostPath
type Source struct {
	// persistentVolumeClaim archives a claim in the transfer's namespace.
	// +optional
	PersistentVolumeClaim *ClaimSource `json:"persistentVolumeClaim,omitempty"`

	// nfs archives an NFS export. It is rejected unless the administrator has allowed
	// it with the manager's --allow-nfs-sources.
	// +optional
	NFS *NFSSource `json:"nfs,omitempty"`

	// hostPath archives a directory of the nodes. It is rejected unless the
	// administrator has allowed it with the manager's --allow-host-path-sources.
	// +optional
	HostPath *HostPathSource `json:"hostPath,omitempty"`

	// path is the directory within the volume; absent means all of it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(s, s == '..')",message="must be relative to the volume: no leading '/', no '..'"
	Path string `json:"path,omitempty"`

	// include lists glob patterns, relative to path, of the files to archive; ** matches
	// any number of directories. Absent means all files.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Include []string `json:"include,omitempty"`

	// exclude lists glob patterns of files to leave out. It takes precedence over include.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Exclude []string `json:"exclude,omitempty"`
}

// ClaimSource names a PersistentVolumeClaim.
type ClaimSource struct {
	// claimName is the name of the PersistentVolumeClaim.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')",message="must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
	ClaimName string `json:"claimName,omitempty"`
}

// NFSSource names an NFS export.
type NFSSource struct {
	// server is the host name or address of the NFS server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Server string `json:"server,omitempty"`

	// path is the exported directory.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/')",message="must begin with '/'"
	Path string `json:"path,omitempty"`
}

// HostPathSource names a directory of the nodes.
type HostPathSource struct {
	// path is the directory.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && !self.split('/').exists(s, s == '..')",message="must begin with '/' and hold no '..'"
	Path string `json:"path,omitempty"`
}
