package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

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

// TarDigest is the algorithm of the digests of the files in archives.
// +kubebuilder:validation:Enum=CRC64NVME;SHA256
type TarDigest string

const (
	// DigestCRC64NVME finds accidental damage.
	DigestCRC64NVME TarDigest = "CRC64NVME"
	// DigestSHA256 finds every change.
	DigestSHA256 TarDigest = "SHA256"
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

	// digest proves that a file that is read back is the one that was archived.
	// CRC64NVME finds accidental damage and costs nothing; SHA256 finds every change,
	// as a chain of custody requires, at several times the CPU.
	// +optional
	// +kubebuilder:default=CRC64NVME
	Digest TarDigest `json:"digest,omitempty"`

	// largeFileThreshold is the size above which a file becomes an object of its own; 0
	// means every file that is not empty. Sparse files are always packed.
	// +optional
	// +kubebuilder:default="64Mi"
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0 && quantity(string(self)).compareTo(quantity('1Ei')) <= 0",message="must be a quantity of bytes between 0 and 1Ei"
	LargeFileThreshold *resource.Quantity `json:"largeFileThreshold,omitempty"`
}
