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

	// sync chooses whether what stands at the destination already is kept rather than
	// sent again. What is no longer in the source is never deleted. It can't be changed.
	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the sync mode of a transfer can't be changed; create another ArchiveTransfer"
	Sync SyncMode `json:"sync,omitempty"`

	// coordination tunes the control that all workers share.
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

	// suspend stops the workers and frees the network until it is false again.
	// What has been archived stays and is not sent again.
	// +optional
	// +kubebuilder:default=false
	Suspend *bool `json:"suspend,omitempty"`

	// failurePolicy decides what files that can't be archived mean for the transfer.
	// +optional
	// +kubebuilder:default={}
	FailurePolicy FailurePolicy `json:"failurePolicy,omitzero"`

	// ttlSecondsAfterFinished deletes the ArchiveTransfer that long after it has
	// ended. Absent means never. What was archived is not touched.
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

	// include are glob patterns, relative to path, of the files to archive, with
	// ** for any number of directories. Absent means all.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Include []string `json:"include,omitempty"`

	// exclude are glob patterns of files to leave out, even if included.
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

// Destination is a place in S3-compatible storage.
type Destination struct {
	// bucket is the name of the bucket. It must exist.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9.-]*[a-z0-9]$')",message="must be a bucket name: lower-case letters, digits, '.' and '-', beginning and ending with a letter or digit"
	Bucket string `json:"bucket,omitempty"`

	// prefix is put before the key of every object. Absent means the whole bucket.
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

	// storageClass of the objects. Absent means the bucket's default.
	// +optional
	// +kubebuilder:validation:Enum=STANDARD;STANDARD_IA;ONEZONE_IA;INTELLIGENT_TIERING;GLACIER;GLACIER_IR;DEEP_ARCHIVE;REDUCED_REDUNDANCY;EXPRESS_ONEZONE;OUTPOSTS;SNOW
	StorageClass string `json:"storageClass,omitempty"`

	// serverSideEncryption asks the server to encrypt the objects. Absent means
	// the bucket's default.
	// +optional
	ServerSideEncryption *ServerSideEncryption `json:"serverSideEncryption,omitempty"`

	// objectTags are put on every object.
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

	// requestPayer is Requester to pay for requests to a bucket whose owner does not.
	// +optional
	// +kubebuilder:validation:Enum=Requester
	RequestPayer string `json:"requestPayer,omitempty"`

	// expectedBucketOwner is the account that the bucket must be of. Absent means any.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ExpectedBucketOwner string `json:"expectedBucketOwner,omitempty"`

	// credentials say who the workers are to the server.
	// +required
	Credentials Credentials `json:"credentials,omitzero"`

	// caBundle holds the certificates of the authorities to trust instead of the
	// system's.
	// +optional
	CABundle *CABundle `json:"caBundle,omitempty"`

	// prefixes says how keys are spread. Prefixes are what the windows are leased on.
	// +optional
	// +kubebuilder:default={}
	Prefixes Prefixes `json:"prefixes,omitzero"`
}

// ServerSideEncryption asks the server to encrypt objects.
// +kubebuilder:validation:XValidation:rule="self.algorithm == 'aws:kms' || !has(self.kmsKeyID)",message="kmsKeyID goes with algorithm aws:kms only"
// +kubebuilder:validation:XValidation:rule="self.algorithm == 'aws:kms' || !has(self.bucketKey)",message="bucketKey goes with algorithm aws:kms only"
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

	// bucketKey is Enabled to have aws:kms use a key of the bucket, which asks the KMS
	// less often. Absent means the bucket's default.
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

// Credentials say who the workers are to the server.
// +kubebuilder:validation:ExactlyOneOf=secretName;podIdentity
type Credentials struct {
	// secretName names a Secret in the transfer's namespace with the keys AWS_ACCESS_KEY_ID,
	// AWS_SECRET_ACCESS_KEY and, if the key is temporary, AWS_SESSION_TOKEN.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')",message="must be the name of a Kubernetes object: lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
	SecretName string `json:"secretName,omitempty"`

	// podIdentity uses what the platform gives to the workers' ServiceAccount,
	// such as an IAM role.
	// +optional
	PodIdentity *PodIdentity `json:"podIdentity,omitempty"`
}

// InstanceMetadataAccess says whether workers ask the instance metadata service of their node.
// +kubebuilder:validation:Enum=Denied;Allowed
type InstanceMetadataAccess string

const (
	// InstanceMetadataDenied leaves the role of the node to the node.
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

	// instanceMetadata is Denied, or Allowed to let workers fall back on the role of
	// their node, which its instance metadata service gives to every pod that may reach it.
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
	// PatternMirror keeps the tree under the base prefix; its top-level
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

	// count is the number of prefixes with Hash, and the most with Mirror. Absent
	// means by the size of the data: below 1 GB 1, 10 GB 2, 100 GB 4, 1 TB 8,
	// else 16; with Mirror always 16.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	Count *int32 `json:"count,omitempty"`

	// names are the prefixes with Explicit.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$')",message="must be letters, digits, '.', '_' and '-', beginning with a letter or digit"
	Names []string `json:"names,omitempty"`
}

// SyncMode chooses whether what stands at the destination already is kept.
// +kubebuilder:validation:Enum=None;SizeAndTime;Checksum
type SyncMode string

const (
	// SyncNone sends everything.
	SyncNone SyncMode = "None"
	// SyncSizeAndTime keeps an object of the same size and modification time. With
	// packing Tar it keeps an archive whose members are all the same in that way, if
	// the last transfer to the same prefix was packed alike.
	SyncSizeAndTime SyncMode = "SizeAndTime"
	// SyncChecksum keeps an object whose size and checksum are those of the file, which
	// is read for it. Archives of packing Tar are compared as with SizeAndTime.
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
// +kubebuilder:validation:XValidation:rule="self.format == 'Tar' || !has(self.tar)",message="tar goes with format Tar only"
type Packing struct {
	// format is Objects, where every file becomes an object of its own, or Tar,
	// where files, directories and links become members of tar archives.
	// +optional
	// +kubebuilder:default=Objects
	Format PackingFormat `json:"format,omitempty"`

	// tar shapes the archives of format Tar.
	// +optional
	Tar *TarPacking `json:"tar,omitempty"`
}

// TarCompression chooses whether archives are compressed.
// +kubebuilder:validation:Enum=None;Zstd
type TarCompression string

const (
	// CompressionNone leaves archives as they are.
	CompressionNone TarCompression = "None"
	// CompressionZstd compresses archives in frames that can be read one by one.
	CompressionZstd TarCompression = "Zstd"
)

// TarPacking shapes tar archives. What is absent takes the same defaults as where
// all of it is absent.
// +kubebuilder:validation:XValidation:rule="self.compression == 'Zstd' || !has(self.level)",message="level goes with compression Zstd only"
type TarPacking struct {
	// targetSize is what an archive is filled up to, before compression: from 1Mi
	// to 64Gi. It holds at most 10,000 members in any case.
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

	// level of the compression, as the zstd tool counts it. Absent means 3. Four
	// of them differ: up to 2, 3 to 5, 6 to 9, and from 10 on.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=22
	Level int32 `json:"level,omitempty"`

	// largeFileThreshold is the size of a file above which it is an object of its
	// own; 0 for every file that is not empty. A file with holes never is.
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
	// ModeCoordinated leases windows and rates from the controller that all
	// workers to one bucket share.
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

// Coordination tunes the control that all workers share. The defaults suit most.
// +kubebuilder:validation:XValidation:rule="!has(self.updateInterval) || !has(self.leaseDuration) || duration(self.updateInterval) + duration(self.updateInterval) + duration(self.updateInterval) <= duration(self.leaseDuration)",message="leaseDuration must be at least three times updateInterval, so that a lease outlasts a lost report"
type Coordination struct {
	// mode is Coordinated, or Uncoordinated for fixed windows.
	// +optional
	// +kubebuilder:default=Coordinated
	Mode CoordinationMode `json:"mode,omitempty"`

	// strategy divides the window over prefixes: TCPLike by windows grown per
	// prefix, FairShare evenly by weight, Adaptive by measured marginal goodput.
	// +optional
	// +kubebuilder:default=Adaptive
	Strategy TransferStrategy `json:"strategy,omitempty"`

	// bandwidthStrategy divides the paced rate: FairShare evenly by weight,
	// Proportional to the windows.
	// +optional
	// +kubebuilder:default=FairShare
	BandwidthStrategy BandwidthStrategy `json:"bandwidthStrategy,omitempty"`

	// pipelineDepth is how many archives are assigned ahead to a worker for each prefix
	// that it serves, divided over these by the windows that it has on them, and more
	// where it ends them faster than they are assigned; 64 at most on one prefix, and
	// 128 in all.
	// +optional
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	PipelineDepth int32 `json:"pipelineDepth,omitempty"`

	// globalCongestionWindow is the number of requests in flight, over all
	// workers, at which control begins.
	// +optional
	// +kubebuilder:default=32
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	GlobalCongestionWindow int32 `json:"globalCongestionWindow,omitempty"`

	// slowStartThreshold is the window below which slow start goes on doubling
	// whatever its growth.
	// +optional
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4096
	SlowStartThreshold int32 `json:"slowStartThreshold,omitempty"`

	// maxActivePrefixes is the most prefixes that hold a window at once.
	// +optional
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MaxActivePrefixes int32 `json:"maxActivePrefixes,omitempty"`

	// updateInterval is the period of control and the shortest report interval.
	// +optional
	// +kubebuilder:default="2s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('500ms') && duration(self) <= duration('1m')",message="must be between 500ms and 1m"
	UpdateInterval metav1.Duration `json:"updateInterval,omitempty,omitzero"`

	// leaseDuration is how long a worker may go on with a grant that is not renewed.
	// +optional
	// +kubebuilder:default="20s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('5s') && duration(self) <= duration('10m')",message="must be between 5s and 10m"
	LeaseDuration metav1.Duration `json:"leaseDuration,omitempty,omitzero"`

	// advancedFlowControl Enabled adds a paced rate and probing to the window.
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
	// learningRatePercent weighs a new measurement against the learnt trend.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	LearningRatePercent int32 `json:"learningRatePercent,omitempty"`

	// bandwidthProbingRatePercent is the first step by which a probe raises the rate.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	BandwidthProbingRatePercent int32 `json:"bandwidthProbingRatePercent,omitempty"`

	// congestionSensitivityPercent decides which share of throttled requests
	// counts as congestion: at 80 more than 2 %, at 0 more than 10 %.
	// +optional
	// +kubebuilder:default=80
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=99
	CongestionSensitivityPercent *int32 `json:"congestionSensitivityPercent,omitempty"`

	// recoveryAggressivenessPercent scales growth after congestion.
	// +optional
	// +kubebuilder:default=120
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=1000
	RecoveryAggressivenessPercent int32 `json:"recoveryAggressivenessPercent,omitempty"`
}

// FixedWindows are the windows of uncoordinated work.
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
	// bounded by what the API server takes as an object only.
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

	// jobLabels are added to the workers' Job, such as a job queue's name.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && k.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$'))",message="keys must be those of Kubernetes: at most 63 letters, digits, '-', '_' and '.', after a DNS name and '/' if they have a prefix"
	JobLabels map[string]LabelValue `json:"jobLabels,omitempty"`

	// image replaces the worker image that the manager was given.
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

	// supplementalGroups are further group IDs of the worker process.
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
	// requests are the least resources the container needs.
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

// FailureAction is what happens after a file could not be archived.
// +kubebuilder:validation:Enum=Continue;Stop
type FailureAction string

const (
	// FailureContinue archives everything else first.
	FailureContinue FailureAction = "Continue"
	// FailureStop ends the transfer at once.
	FailureStop FailureAction = "Stop"
)

// NothingSelectedAction is what it means that there is no file to archive.
// +kubebuilder:validation:Enum=Fail;Complete
type NothingSelectedAction string

const (
	// NothingSelectedFails has the transfer fail.
	NothingSelectedFails NothingSelectedAction = "Fail"
	// NothingSelectedCompletes has the transfer be complete, with a warning.
	NothingSelectedCompletes NothingSelectedAction = "Complete"
)

// FailurePolicy decides what files that can't be archived mean for the transfer.
type FailurePolicy struct {
	// onFailure is Continue to archive everything else first, or Stop to end the
	// transfer once more files than toleratedFailures have failed. A transfer that was
	// stopped stays so, whatever is tolerated afterwards.
	// +optional
	// +kubebuilder:default=Continue
	OnFailure FailureAction `json:"onFailure,omitempty"`

	// toleratedFailures is the number of files that may fail in a transfer that
	// still counts as complete.
	// +optional
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	ToleratedFailures *int64 `json:"toleratedFailures,omitempty"`

	// onNothingSelected is what a source without a single file to archive means: Fail or
	// Complete. Absent means Fail if source.include or source.exclude is given, since a
	// pattern that matches nothing is most often a mistake, and Complete otherwise.
	// +optional
	OnNothingSelected NothingSelectedAction `json:"onNothingSelected,omitempty"`

	// attemptsPerArchive is the number of workers that may try an archive.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	AttemptsPerArchive int32 `json:"attemptsPerArchive,omitempty"`
}

// ArchiveTransferStatus is what has become of the transfer. The manager alone writes it.
// +kubebuilder:validation:MinProperties=1
type ArchiveTransferStatus struct {
	// observedGeneration is the generation of the spec that the status speaks of.
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

	// startTime is when the first worker was asked for.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// completionTime is when the transfer ended, complete or failed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// duration is the time from start to completion for people, such as "2h13m5s".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Duration string `json:"duration,omitempty"`

	// estimatedCompletionTime is when it would end at the present throughput; absent
	// once it has ended.
	// +optional
	EstimatedCompletionTime *metav1.Time `json:"estimatedCompletionTime,omitempty"`

	// progress counts what is planned and what has become of it.
	// +optional
	Progress *Progress `json:"progress,omitempty"`

	// prefixes tells the same for each prefix.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Prefixes []PrefixStatus `json:"prefixes,omitempty"`

	// failures are the first archives in which something failed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Failures []ArchiveFailure `json:"failures,omitempty"`

	// coordination is the state of the control of the destination.
	// +optional
	Coordination *CoordinationStatus `json:"coordination,omitempty"`

	// workers counts the worker pods.
	// +optional
	Workers *WorkersStatus `json:"workers,omitempty"`

	// checksumAlgorithm is the checksum that the destination verified.
	// +optional
	// +kubebuilder:validation:Enum=CRC64NVME;CRC32C
	ChecksumAlgorithm string `json:"checksumAlgorithm,omitempty"`
}

// Progress counts what is planned and what has become of it.
type Progress struct {
	// planning is Running while the source is still being listed, then Complete.
	// +optional
	// +kubebuilder:validation:Enum=Running;Complete
	Planning string `json:"planning,omitempty"`

	// percent of the planned bytes that have ended, once planning is complete.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Percent *int32 `json:"percent,omitempty"`

	// summary is done and planned bytes for people, such as "1.2/4.0 GiB".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Summary string `json:"summary,omitempty"`

	// bytesPerSecond is the present throughput over all workers, and the mean from start
	// to completion once the transfer has ended.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	BytesPerSecond *int64 `json:"bytesPerSecond,omitempty"`

	// throughput is bytesPerSecond for people, such as "118 MiB/s".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Throughput string `json:"throughput,omitempty"`

	// planned is what the inventory lists so far.
	// +optional
	Planned *Tally `json:"planned,omitempty"`

	// done was uploaded and verified.
	// +optional
	Done *Tally `json:"done,omitempty"`

	// failed could not be archived.
	// +optional
	Failed *Tally `json:"failed,omitempty"`

	// skipped is not a file: sockets, devices, links that lead nowhere.
	// +optional
	Skipped *Tally `json:"skipped,omitempty"`

	// archivesPlanned counts the archives of the inventory so far.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000
	ArchivesPlanned *int64 `json:"archivesPlanned,omitempty"`

	// archivesFinished counts the archives that have ended, in whatever way.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000
	ArchivesFinished *int64 `json:"archivesFinished,omitempty"`
}

// PrefixStatus tells what has become of one prefix, and how it is doing.
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

	// finishedArchives are the numbers of those that have ended, as ranges: "0-41,43-99".
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	FinishedArchives *string `json:"finishedArchives,omitempty"`

	// exhaustedArchives counts those of the finished archives that used up their attempts.
	// What they hold is counted as failed once everything else of the prefix has ended.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000000
	ExhaustedArchives *int64 `json:"exhaustedArchives,omitempty"`

	// planned is what the inventory lists so far.
	// +optional
	Planned *Tally `json:"planned,omitempty"`

	// done was uploaded and verified.
	// +optional
	Done *Tally `json:"done,omitempty"`

	// failed could not be archived.
	// +optional
	Failed *Tally `json:"failed,omitempty"`

	// skipped is not a file.
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

	// bytesPerSecond is the present throughput.
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

	// throttledPerMille is the share of requests lately refused for their rate.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	ThrottledPerMille *int32 `json:"throttledPerMille,omitempty"`
}

// ArchiveFailure tells why files of an archive failed.
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

// CoordinationStatus is the state of the control of the destination, which all
// transfers to the same bucket share.
type CoordinationStatus struct {
	// domain is the endpoint and bucket under one control.
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

	// metrics judge the coordination.
	// +optional
	Metrics *CoordinationMetrics `json:"metrics,omitempty"`
}

// CoordinationMetrics judge the coordination; internal/coordination holds the formulas.
type CoordinationMetrics struct {
	// overheadPerMille is what coordination costs: the part of the window that a worker
	// wanted and none could use, because it was still charged to workers that had not
	// acknowledged its withdrawal, and the part of the time that decisions took; over
	// about the last ten minutes.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	OverheadPerMille *int32 `json:"overheadPerMille,omitempty"`

	// loadBalancePercent is the mean over the greatest, over the workers with windows,
	// of requests in flight per slot: 100 when all use theirs alike.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	LoadBalancePercent *int32 `json:"loadBalancePercent,omitempty"`

	// pipelineUtilizationPercent is the mean of requests in flight over the granted
	// windows, in the last round.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	PipelineUtilizationPercent *int32 `json:"pipelineUtilizationPercent,omitempty"`

	// congestionEvents counts the cuts of the domain's window or rate.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	CongestionEvents *int64 `json:"congestionEvents,omitempty"`

	// congestionCauses counts the changes of state that congestion caused.
	// +optional
	// +listType=map
	// +listMapKey=cause
	// +kubebuilder:validation:MaxItems=16
	CongestionCauses []CongestionCause `json:"congestionCauses,omitempty"`

	// bytesPerSecond is the throughput of all transfers into the domain.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	BytesPerSecond *int64 `json:"bytesPerSecond,omitempty"`

	// adaptationPerMille is how much the law moves the window, as the mean of |Δ ln W|
	// per minute: 0 is steady, 693 is a window that doubles or halves each minute.
	// +optional
	// +kubebuilder:validation:Minimum=0
	AdaptationPerMille *int32 `json:"adaptationPerMille,omitempty"`

	// archivesMoved counts archives taken from one worker because another would be
	// done with them sooner.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740992
	ArchivesMoved *int64 `json:"archivesMoved,omitempty"`

	// improvementPercent is the mean throughput since the baseline against that of the
	// baseline: the rounds under the window that the transfer began with. 100 is the
	// same, and 1000 the most that is told. Absent where too little was accepted under
	// that window to compare with, and until ten seconds after it.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	ImprovementPercent *int32 `json:"improvementPercent,omitempty"`

	// latencyReductionPercent is how much shorter requests have taken since the
	// baseline than in it; negative when they took longer, -900 at least. Absent as
	// improvementPercent is.
	// +optional
	// +kubebuilder:validation:Minimum=-900
	// +kubebuilder:validation:Maximum=100
	LatencyReductionPercent *int32 `json:"latencyReductionPercent,omitempty"`
}

// CongestionCause counts the changes of state of one cause.
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
	// desired is the number asked for.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Desired *int32 `json:"desired,omitempty"`

	// leased is the number that hold a lease and report.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Leased *int32 `json:"leased,omitempty"`

	// blocked is the number that can do nothing until somebody fixes something.
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

	// status is what has become of it.
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
