package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ArchiveTransferSpec describes what to archive, where and how.
// +kubebuilder:validation:XValidation:rule="self.packing.format != 'Tar' || !has(self.destination.prefixes.pattern) || self.destination.prefixes.pattern != 'Mirror'",message="prefix pattern Mirror keeps the tree, which a tar hides: use Hash or Explicit with packing Tar"
type ArchiveTransferSpec struct {
	// source is the volume to archive. It is mounted read-only and can't be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the source of a transfer can't be changed; create another ArchiveTransfer"
	Source Source `json:"source,omitzero"`

	// destination is the bucket to archive to. It can't be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the destination of a transfer can't be changed; create another ArchiveTransfer"
	Destination Destination `json:"destination,omitzero"`

	// packing chooses how files become objects. It can't be changed.
	// +optional
	// +kubebuilder:default={format: Objects}
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the packing of a transfer can't be changed; create another ArchiveTransfer"
	Packing Packing `json:"packing,omitzero"`

	// sync chooses when an object that exists at the destination is kept instead of being
	// uploaded again. Objects that are no longer in the source are never deleted. It
	// can't be changed.
	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the sync mode of a transfer can't be changed; create another ArchiveTransfer"
	Sync SyncMode `json:"sync,omitempty"`

	Fleet `json:",inline"`
}

// Fleet says how a transfer or a restore is run: by which pods, under which control, to which end.
type Fleet struct {
	// coordination tunes the congestion control that all workers share.
	// +optional
	// +kubebuilder:default={}
	Coordination Coordination `json:"coordination,omitzero"`

	// workers describes the pods that move the data.
	// +optional
	// +kubebuilder:default={}
	Workers Workers `json:"workers,omitzero"`

	// weight is the transfer's share of a bucket that several transfers write to,
	// relative to the weights of the others.
	// +optional
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Weight int32 `json:"weight,omitempty"`

	// suspend stops the workers until it is false again. What has been archived is kept
	// and not uploaded again.
	// +optional
	// +kubebuilder:default=false
	Suspend *bool `json:"suspend,omitempty"`

	// failurePolicy decides how files that can't be archived affect the transfer.
	// +optional
	// +kubebuilder:default={}
	FailurePolicy FailurePolicy `json:"failurePolicy,omitzero"`

	// ttlSecondsAfterFinished is how many seconds after its end the ArchiveTransfer is
	// deleted. Absent means never. The archived objects are kept.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

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

// AddressingStyle chooses how a bucket is named in a URL.
// +kubebuilder:validation:Enum=VirtualHosted;Path
type AddressingStyle string

const (
	// AddressingVirtualHosted puts the bucket into the host name, as AWS does.
	AddressingVirtualHosted AddressingStyle = "VirtualHosted"
	// AddressingPath puts the bucket into the path, as most other servers do.
	AddressingPath AddressingStyle = "Path"
)

// Location is a place in S3-compatible storage, and how to get there.
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
	// 2 below 10 GB, 4 below 100 GB, 8 below 1 TB, else 16.
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

// SyncMode chooses when an existing object is kept.
// +kubebuilder:validation:Enum=None;SizeAndTime;Checksum
type SyncMode string

const (
	// SyncNone uploads everything.
	SyncNone SyncMode = "None"
	// SyncSizeAndTime keeps an object of the same size and modification time. With
	// packing Tar it keeps an archive whose members are all unchanged, if the last
	// transfer to the same prefix used the same packing.
	SyncSizeAndTime SyncMode = "SizeAndTime"
	// SyncChecksum keeps an object whose size and checksum match those of the file, which
	// is read to compute them. Archives of packing Tar are compared as with SizeAndTime.
	SyncChecksum SyncMode = "Checksum"
)

// PackingFormat chooses how files become objects.
// +kubebuilder:validation:Enum=Objects;Tar
type PackingFormat string

const (
	// PackingObjects makes every file an object of its own.
	PackingObjects PackingFormat = "Objects"
	// PackingTar packs files into tar archives.
	PackingTar PackingFormat = "Tar"
)

// Packing chooses how files become objects. It is a union whose format names the member.
// +kubebuilder:validation:XValidation:rule="self.format == 'Tar' || !has(self.tar)",message="tar requires format Tar"
type Packing struct {
	// format is Objects, where every file becomes an object of its own, or Tar,
	// where files, directories and links become members of tar archives.
	// +optional
	// +kubebuilder:default=Objects
	Format PackingFormat `json:"format,omitempty"`

	// tar configures the archives of format Tar.
	// +optional
	Tar *TarPacking `json:"tar,omitempty"`
}

// TarCompression chooses whether archives are compressed.
// +kubebuilder:validation:Enum=None;Zstd
type TarCompression string

const (
	// CompressionNone stores archives uncompressed.
	CompressionNone TarCompression = "None"
	// CompressionZstd compresses archives in frames that can be read independently.
	CompressionZstd TarCompression = "Zstd"
)

// TarPacking configures tar archives. Absent fields take the same defaults as when all
// of it is absent.
// +kubebuilder:validation:XValidation:rule="self.compression == 'Zstd' || !has(self.level)",message="level requires compression Zstd"
type TarPacking struct {
	// targetSize is the size of an archive before compression, from 1Mi to 64Gi. An
	// archive holds at most 10,000 members in any case.
	// +optional
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('1Mi')) >= 0 && quantity(string(self)).compareTo(quantity('64Gi')) <= 0",message="must be a quantity of bytes between 1Mi and 64Gi"
	TargetSize *resource.Quantity `json:"targetSize,omitempty"`

	// compression is Zstd or None.
	// +optional
	// +kubebuilder:default=Zstd
	Compression TarCompression `json:"compression,omitempty"`

	// level is the zstd compression level; absent means 3. There are four distinct
	// levels: 1 to 2, 3 to 5, 6 to 9, and 10 and above.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=22
	Level int32 `json:"level,omitempty"`

	// largeFileThreshold is the size above which a file becomes an object of its own; 0
	// means every file that is not empty. Sparse files are always packed.
	// +optional
	// +kubebuilder:default="64Mi"
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0 && quantity(string(self)).compareTo(quantity('1Ei')) <= 0",message="must be a quantity of bytes between 0 and 1Ei"
	LargeFileThreshold *resource.Quantity `json:"largeFileThreshold,omitempty"`
}

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
	// +kubebuilder:default="20s"
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

// FailureAction is what to do when a file could not be archived.
// +kubebuilder:validation:Enum=Continue;Stop
type FailureAction string

const (
	// FailureContinue archives everything else.
	FailureContinue FailureAction = "Continue"
	// FailureStop ends the transfer immediately.
	FailureStop FailureAction = "Stop"
)

// NothingSelectedAction is what to do when no file is selected.
// +kubebuilder:validation:Enum=Fail;Complete
type NothingSelectedAction string

const (
	// NothingSelectedFails fails the transfer.
	NothingSelectedFails NothingSelectedAction = "Fail"
	// NothingSelectedCompletes completes the transfer, with a warning.
	NothingSelectedCompletes NothingSelectedAction = "Complete"
)

// FailurePolicy decides how files that can't be archived affect the transfer.
type FailurePolicy struct {
	// onFailure is Continue to archive everything else, or Stop to end the transfer once
	// more than toleratedFailures files have failed. A stopped transfer is not resumed
	// when toleratedFailures is raised.
	// +optional
	// +kubebuilder:default=Continue
	OnFailure FailureAction `json:"onFailure,omitempty"`

	// toleratedFailures is the number of files that may fail before the transfer counts
	// as failed.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	ToleratedFailures *int64 `json:"toleratedFailures,omitempty"`

	// onNothingSelected is what to do when no file is selected: Fail or Complete. Absent
	// means Fail if source.include or source.exclude is given, since a pattern that
	// matches nothing is usually a mistake, and Complete otherwise.
	// +optional
	OnNothingSelected NothingSelectedAction `json:"onNothingSelected,omitempty"`

	// attemptsPerArchive is the maximum number of attempts at an archive.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	AttemptsPerArchive int32 `json:"attemptsPerArchive,omitempty"`
}

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
	// transfer has ended, as are window and rate.
	// +optional
	// +kubebuilder:validation:Enum=SlowStart;CongestionAvoidance;FastRecovery;Recovery
	State string `json:"state,omitempty"`

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

// ArchiveTransfer archives a volume of the cluster into S3-compatible storage.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=at,categories=cargoship
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Progressing")].reason`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress.summary`
// +kubebuilder:printcolumn:name="%",type=integer,JSONPath=`.status.progress.percent`
// +kubebuilder:printcolumn:name="Throughput",type=string,JSONPath=`.status.progress.throughput`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.coordination.state`
// +kubebuilder:printcolumn:name="Workers",type=integer,JSONPath=`.status.workers.leased`
// +kubebuilder:printcolumn:name="ETA",type=date,JSONPath=`.status.estimatedCompletionTime`
// +kubebuilder:printcolumn:name="Duration",type=string,JSONPath=`.status.duration`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.progress.failed.files`,priority=1
// +kubebuilder:printcolumn:name="Bucket",type=string,JSONPath=`.spec.destination.bucket`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 50",message="metadata.name must be at most 50 characters, so that the names of the workers' Job and pods fit"
// +kubebuilder:validation:XValidation:rule="!self.metadata.name.contains('.')",message="metadata.name must not contain '.', since worker pods have it in their host names"
type ArchiveTransfer struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec describes what to archive, where and how.
	// +required
	Spec ArchiveTransferSpec `json:"spec,omitzero"`

	// status is the observed state of the transfer.
	// +optional
	Status ArchiveTransferStatus `json:"status,omitzero"`
}

// ArchiveTransferList is a list of ArchiveTransfers.
//
// +kubebuilder:object:root=true
type ArchiveTransferList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []ArchiveTransfer `json:"items"`
}
