package upload

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"cargoship.dev/operator/internal/s3"
)

// Sync says when an existing object is kept rather than sent again.
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

// keep returns the receipt of the existing object, if it may be kept.
func (u *Uploader) keep(ctx context.Context, f File, file *lentFile) (Receipt, bool, error) {
	source := &fileSource{bodies: u.bodies(f.Key, s3.ChecksumMD5), file: file, size: f.Size}
	o := &object{Uploader: u, file: f, source: source, bodies: &source.bodies}
	info, found, err := o.lookUp(ctx, cmp.Or(f.Earlier, f.Key))
	if err != nil || !found || info.Size != f.Size {
		return Receipt{}, false, err
	}
	r := Receipt{Key: cmp.Or(f.Earlier, f.Key), ETag: info.ETag, Bytes: info.Size, Kept: true}
	for _, algorithm := range []string{s3.ChecksumCRC64NVME, s3.ChecksumCRC32C} {
		if sum := info.Checksums[algorithm]; sum != "" && r.Checksum == "" {
			r.Checksum, r.ChecksumAlgorithm = sum, algorithm
		}
	}
	same := false
	switch {
	case f.Sync == SyncSizeAndTime:
		same = info.Metadata[MetadataTime] == f.Metadata[MetadataTime]
	case f.Sync == SyncChecksum && r.Checksum == "":
		same, err = source.sameETag(ctx, &r, u.choosePartSize(f.Prefix, f.Size))
	case f.Sync == SyncChecksum:
		same, err = source.sameContent(ctx, r)
	}
	return r, same, err
}

// sameETag compares the file with the ETag of an object, which is that of one part or of
// parts as they are cut now, and sets the checksum.
func (f *fileSource) sameETag(ctx context.Context, r *Receipt, partSize int64) (bool, error) {
	if !strings.Contains(r.ETag, "-") {
		partSize = max(f.size, 1)
	}
	whole, err := f.inPartsOf(partSize).whole(ctx, true)
	r.Checksum, r.ChecksumAlgorithm = whole.checksum, s3.ChecksumName(f.algorithm)
	return err == nil && slices.Contains([]string{whole.etag, whole.only}, r.ETag), err
}

// sameContent compares the file with the checksum of an object.
func (f *fileSource) sameContent(ctx context.Context, r Receipt) (bool, error) {
	if strings.Contains(r.Checksum, "-") {
		return false, nil
	}
	b, err := s3.SumBody(ctx, r.ChecksumAlgorithm, f.section(part{whole: true}))
	if err == nil {
		err = f.unchanged()
	}
	if err != nil {
		return false, s3.SourceError("read", f.key, err)
	}
	return b.Sum().Encode(r.ChecksumAlgorithm) == r.Checksum, nil
}
