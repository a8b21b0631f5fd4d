package upload

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"cargoship.dev/operator/internal/s3"
)

// Sync says when an object that stands already is kept rather than sent again.
type Sync string

const (
	// SyncNone sends every file.
	SyncNone Sync = "None"
	// SyncSizeAndTime keeps an object of the same size that was stored with the same
	// modification time.
	SyncSizeAndTime Sync = "SizeAndTime"
	// SyncChecksum keeps an object of the same size whose checksum is that of the file,
	// which is read for it; where the server keeps none, its ETag, if that is made of MD5s.
	// An object with a checksum of parts is sent again.
	SyncChecksum Sync = "Checksum"
)

// MetadataTime is the name of the metadata that SyncSizeAndTime compares.
const MetadataTime = "mtime"

// keep returns the receipt of the object that stands, if it may be kept.
func (j *job) keep(ctx context.Context) (Receipt, bool, error) {
	key := cmp.Or(j.file.Earlier, j.file.Key)
	info, found, err := j.lookUp(ctx, key)
	if err != nil || !found || info.Size != j.file.Size {
		return Receipt{}, false, err
	}
	r := Receipt{Key: key, ETag: info.ETag, Bytes: info.Size, Kept: true}
	for _, algorithm := range []string{s3.ChecksumCRC64NVME, s3.ChecksumCRC32C} {
		if sum := info.Checksums[algorithm]; sum != "" && r.Checksum == "" {
			r.Checksum, r.ChecksumAlgorithm = sum, algorithm
		}
	}
	same := false
	switch j.file.Sync {
	case SyncSizeAndTime:
		same = info.Metadata[MetadataTime] == j.file.Metadata[MetadataTime]
	case SyncChecksum:
		if r.Checksum == "" {
			return j.sameETag(ctx, r)
		}
		same, err = j.sameContent(ctx, r)
	}
	return r, same, err
}

// sameETag compares the file with the ETag of an object, which is that of one part or of
// parts as they are cut now.
func (j *job) sameETag(ctx context.Context, r Receipt) (Receipt, bool, error) {
	j.algorithm, j.partSize = s3.ChecksumMD5, max(j.file.Size, 1)
	if strings.Contains(r.ETag, "-") {
		j.partSize = j.choosePartSize()
	}
	whole, err := j.wholeOf(ctx, true)
	r.Checksum, r.ChecksumAlgorithm = whole.checksum, s3.ChecksumName(j.algorithm)
	return r, err == nil && slices.Contains([]string{whole.etag, whole.only}, r.ETag), err
}

// sameContent compares the file with the checksum of an object.
func (j *job) sameContent(ctx context.Context, r Receipt) (bool, error) {
	if strings.Contains(r.Checksum, "-") {
		return false, nil
	}
	b, err := s3.SumBody(ctx, r.ChecksumAlgorithm, j.section(span{0, j.file.Size}))
	if err != nil {
		return false, err
	}
	if err := j.source.Unchanged(); err != nil {
		return false, s3.SourceError("read", j.file.Key, err)
	}
	return b.Sum().Encode(r.ChecksumAlgorithm) == r.Checksum, nil
}
