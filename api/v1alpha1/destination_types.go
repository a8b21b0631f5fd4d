package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AddressingStyle chooses how a bucket is named in a URL.
// +kubebuilder:validation:Enum=VirtualHosted;Path
type AddressingStyle string

const (
	// AddressingVirtualHosted puts the bucket into the host name, as AWS does.
	AddressingVirtualHosted AddressingStyle = "VirtualHosted"
	// AddressingPath puts the bucket into the path, as most other servers do.
	AddressingPath AddressingStyle = "Path"
)

// PayloadSigning says when a signature covers what a request sends.
// +kubebuilder:validation:Enum=WithoutTLS;Never
type PayloadSigning string

const (
	// PayloadSigningWithoutTLS has signatures cover bodies that TLS does not protect.
	PayloadSigningWithoutTLS PayloadSigning = "WithoutTLS"
	// PayloadSigningNever has signatures cover no bodies.
	PayloadSigningNever PayloadSigning = "Never"
)

// Location is a place in S3-compatible storage, and how to reach it.
type Location struct {
	// bucket is the name of the bucket. It must exist.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9.-]*[a-z0-9]$')",message="must be a bucket name: lower-case letters, digits, '.' and '-', beginning and ending with a letter or digit"
	Bucket string `json:"bucket,omitempty"`

	// prefix is prepended to the key of every object. Absent means none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(s, s == '..' || s == '.' || s == '.cargoship')",message="must not begin with '/' or hold '.', '..' or '.cargoship' as a segment"
	Prefix string `json:"prefix,omitempty"`

	// region is the region that requests are signed for.
	// +optional
	// +kubebuilder:default="us-east-1"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Region string `json:"region,omitempty"`

	// endpoint is the URL of an S3-compatible server. Absent means AWS.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([A-Za-z0-9._-]+|[[][0-9A-Fa-f:.]+[]])(:[0-9]{1,5})?(/[A-Za-z0-9._~+=-]*)*$') && isURL(self)",message="must be an http:// or https:// URL with a host, without user, password, query or fragment; credentials belong in a Secret"
	// +kubebuilder:validation:XValidation:rule="!self.split('/').exists(s, s == '.' || s == '..')",message="must not hold '.' or '..' as a segment"
	Endpoint string `json:"endpoint,omitempty"`

	// addressingStyle is VirtualHosted (https://BUCKET.host/KEY) or Path (https://host/BUCKET/KEY).
	// +optional
	// +kubebuilder:default=VirtualHosted
	AddressingStyle AddressingStyle `json:"addressingStyle,omitempty"`

	// requestPayer is Requester to pay for requests to a requester-pays bucket.
	// +optional
	// +kubebuilder:validation:Enum=Requester
	RequestPayer string `json:"requestPayer,omitempty"`

	// expectedBucketOwner is the ID of the account that must own the bucket. Absent means any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ExpectedBucketOwner string `json:"expectedBucketOwner,omitempty"`

	// credentials authenticate the workers to the server.
	// +required
	Credentials Credentials `json:"credentials,omitzero"`

	// caBundle holds the CA certificates to trust instead of the system's.
	// +optional
	CABundle *CABundle `json:"caBundle,omitempty"`
}

// Destination is a place to archive to, and how objects are made there.
type Destination struct {
	Location `json:",inline"`

	// storageClass of the objects. Absent means the bucket's default.
	// +optional
	// +kubebuilder:validation:Enum=STANDARD;STANDARD_IA;ONEZONE_IA;INTELLIGENT_TIERING;GLACIER;GLACIER_IR;DEEP_ARCHIVE;REDUCED_REDUNDANCY;EXPRESS_ONEZONE;OUTPOSTS;SNOW
	StorageClass string `json:"storageClass,omitempty"`

	// serverSideEncryption asks the server to encrypt the objects. Absent means
	// the bucket's default.
	// +optional
	ServerSideEncryption *ServerSideEncryption `json:"serverSideEncryption,omitempty"`

	// objectTags are set on every object.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MaxItems=10
	ObjectTags []ObjectTag `json:"objectTags,omitempty"`

	// objectLock locks the objects of files. Absent means the bucket's default.
	// +optional
	ObjectLock *ObjectLock `json:"objectLock,omitempty"`

	// payloadSigning says when the signature of a request covers the content of objects, for which
	// each is read by SHA-256: WithoutTLS, where nothing else protects it on the way, or Never, which about
	// halves the CPU that large files take over plain HTTP and leaves it to the network that nobody alters what is sent.
	// +optional
	// +kubebuilder:default=WithoutTLS
	PayloadSigning PayloadSigning `json:"payloadSigning,omitempty"`

	// acl is a canned ACL for all objects. Absent means the bucket's default.
	// +optional
	// +kubebuilder:validation:Enum=private;public-read;public-read-write;authenticated-read;aws-exec-read;bucket-owner-read;bucket-owner-full-control
	ACL string `json:"acl,omitempty"`

	// prefixes says how keys are spread over prefixes, the units that windows are leased for.
	// +optional
	// +kubebuilder:default={}
	Prefixes Prefixes `json:"prefixes,omitzero"`
}

// ServerSideEncryption asks the server to encrypt objects.
// +kubebuilder:validation:XValidation:rule="self.algorithm == 'aws:kms' || !has(self.kmsKeyID)",message="kmsKeyID requires algorithm aws:kms"
// +kubebuilder:validation:XValidation:rule="self.algorithm == 'aws:kms' || !has(self.bucketKey)",message="bucketKey requires algorithm aws:kms"
type ServerSideEncryption struct {
	// algorithm is AES256 or aws:kms.
	// +required
	// +kubebuilder:validation:Enum=AES256;aws:kms
	Algorithm string `json:"algorithm,omitempty"`

	// kmsKeyID is the key for aws:kms. Absent means the account's default key.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	KMSKeyID string `json:"kmsKeyID,omitempty"`

	// bucketKey is Enabled to use an S3 Bucket Key, which takes fewer requests to KMS.
	// Absent means the bucket's default.
	// +optional
	// +kubebuilder:validation:Enum=Enabled
	BucketKey string `json:"bucketKey,omitempty"`
}

// ObjectLock keeps objects from being replaced or removed, in a bucket that has it enabled.
// +kubebuilder:validation:XValidation:rule="has(self.mode) == has(self.retainUntil)",message="mode and retainUntil go together"
// +kubebuilder:validation:MinProperties=1
type ObjectLock struct {
	// mode is GOVERNANCE, which some users may lift, or COMPLIANCE, which nobody may.
	// +optional
	// +kubebuilder:validation:Enum=GOVERNANCE;COMPLIANCE
	Mode string `json:"mode,omitempty"`

	// retainUntil is when the lock ends.
	// +optional
	RetainUntil *metav1.Time `json:"retainUntil,omitempty"`

	// legalHold is On to keep the objects until somebody lifts it.
	// +optional
	// +kubebuilder:validation:Enum=On
	LegalHold string `json:"legalHold,omitempty"`
}

// ObjectTag is one tag of an object.
type ObjectTag struct {
	// key of the tag.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Key string `json:"key,omitempty"`

	// value of the tag.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Value string `json:"value,omitempty"`
}

// Credentials authenticate the workers to the server.
// +kubebuilder:validation:ExactlyOneOf=secretName;podIdentity
type Credentials struct {
	// secretName names a Secret in the transfer's namespace with the keys AWS_ACCESS_KEY_ID,
	// AWS_SECRET_ACCESS_KEY and, if the key is temporary, AWS_SESSION_TOKEN.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')",message="must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
	SecretName string `json:"secretName,omitempty"`

	// podIdentity uses the identity that the platform assigns to the workers'
	// ServiceAccount, such as an IAM role.
	// +optional
	PodIdentity *PodIdentity `json:"podIdentity,omitempty"`
}

// InstanceMetadataAccess says whether workers may use the instance metadata service of their node.
// +kubebuilder:validation:Enum=Denied;Allowed
type InstanceMetadataAccess string

const (
	// InstanceMetadataDenied keeps workers from using the role of their node.
	InstanceMetadataDenied InstanceMetadataAccess = "Denied"
	// InstanceMetadataAllowed lets workers use the role of their node.
	InstanceMetadataAllowed InstanceMetadataAccess = "Allowed"
)

// PodIdentity names the ServiceAccount whose identity the workers take.
type PodIdentity struct {
	// serviceAccountName is a ServiceAccount in the transfer's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')",message="must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// instanceMetadata is Denied, or Allowed to let workers fall back to the role of their
	// node, which its instance metadata service hands to every pod that can reach it.
	// +optional
	// +kubebuilder:default=Denied
	InstanceMetadata InstanceMetadataAccess `json:"instanceMetadata,omitempty"`
}

// CABundle names a key of a ConfigMap that holds PEM certificates.
type CABundle struct {
	// configMapName is a ConfigMap in the transfer's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')",message="must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
	ConfigMapName string `json:"configMapName,omitempty"`

	// key within it.
	// +optional
	// +kubebuilder:default="ca.crt"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._-]+$') && self != '.' && !self.startsWith('..')",message="must be a key of a ConfigMap: letters, digits, '-', '_' and '.', not beginning with '..'"
	Key string `json:"key,omitempty"`
}

// PrefixPattern chooses how keys are spread over prefixes.
// +kubebuilder:validation:Enum=Mirror;Hash;Explicit
type PrefixPattern string

const (
	// PatternMirror keeps the directory tree under the base prefix; the top-level
	// directories are the prefixes.
	PatternMirror PrefixPattern = "Mirror"
	// PatternHash puts objects under short hashed prefixes.
	PatternHash PrefixPattern = "Hash"
	// PatternExplicit puts objects under the names given.
	PatternExplicit PrefixPattern = "Explicit"
)

// Prefixes says how keys are spread.
// +kubebuilder:validation:XValidation:rule="has(self.pattern) && self.pattern == 'Explicit' ? has(self.names) && size(self.names) > 0 : !has(self.names)",message="names are required with pattern Explicit and forbidden otherwise"
// +kubebuilder:validation:XValidation:rule="!has(self.pattern) || self.pattern != 'Explicit' || !has(self.count)",message="count is the number of names with pattern Explicit; leave it out"
type Prefixes struct {
	// pattern is Mirror, Hash or Explicit. Absent means Mirror with packing Objects
	// and Hash with packing Tar, which has no Mirror.
	// +optional
	Pattern PrefixPattern `json:"pattern,omitempty"`

	// count is the number of prefixes with Hash, and the maximum with Mirror. If it is
	// absent, Mirror uses up to 16, and Hash goes by the size of the data: 1 below 1 GB,
	// 2 below 10 GB, 4 below 100 GB, 8 below 1 TB, and 16 above.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Count *int32 `json:"count,omitempty"`

	// names lists the prefixes of pattern Explicit.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$')",message="must be letters, digits, '.', '_' and '-', beginning with a letter or digit"
	Names []string `json:"names,omitempty"`
}
