package transfer

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// standingPart is a part of an open upload, as the server lists it.
type standingPart struct {
	etag, checksum string
	bytes          int64
}

// standingParts are the parts of an open upload by number.
type standingParts struct {
	// algorithm is the upload's checksum, "" if the server does not say.
	algorithm string
	parts     map[int32]standingPart
	// partSize is that of the object, once it is known to have these parts.
	partSize int64
}

// bytes is how much stands.
func (s standingParts) bytes() (sum int64) {
	for _, p := range s.parts {
		sum += p.bytes
	}
	return sum
}

// fits reports whether all parts have the places and lengths of a file's parts.
func (s standingParts) fits(file, part int64) bool {
	for number, p := range s.parts {
		offset := int64(number-1) * part
		if offset >= file || p.bytes != min(part, file-offset) {
			return false
		}
	}
	return true
}

// holds returns the ETag of a part that stands with the content of a body; "" if it does
// not. Of a part that is listed without a checksum, the ETag tells.
func (s standingParts) holds(ctx context.Context, number int32, algorithm string, b *body) string {
	p := s.parts[number]
	if p.bytes != b.length {
		return ""
	}
	if p.checksum == "" {
		if digest, err := b.md5Sum(ctx); err != nil || !strings.EqualFold(strings.Trim(p.etag, `"`), hex.EncodeToString(digest)) {
			return ""
		}
	} else if p.checksum != b.sum.encode(algorithm) {
		return ""
	}
	return p.etag
}

// resume returns the open upload in which most of the object stands already, and sets what
// stands; the upload's ID is empty if there is none. Others that earlier attempts have
// left open are aborted, and those that may be somebody else's are left alone. known
// returns the part size with which the parts are those of the object, 0 if they are not.
//
// An upload carries no mark of who began it. But one in which a part stands that this
// object has is of this object; and one without parts, that is checked as this one, holds
// nothing of anybody's: see clearEmpty. To go on is a convenience: an upload that the server
// does not tell of is left alone.
func (j *job) resume(ctx context.Context, known func(standingParts) (int64, error)) (best OpenUpload, err error) {
	for _, u := range j.file.Left {
		found, err := j.listParts(ctx, u)
		if e := (*Error)(nil); errors.As(err, &e) && !e.Class.Retryable() {
			continue
		}
		if err != nil {
			return best, err
		}
		if len(found.parts) == 0 {
			j.empty = append(j.empty, emptyUpload{u, found.algorithm})
			continue
		}
		if found.partSize, err = known(found); err != nil {
			return best, err
		}
		if found.partSize == 0 {
			continue
		}
		if found.bytes() > j.standing.bytes() {
			u, best, j.standing = best, u, found
		}
		if u.UploadID == "" {
			continue
		}
		if err := j.abort(ctx, u); err != nil {
			return best, err
		}
	}
	if best.UploadID != "" {
		j.abortEmpty(ctx, j.standing.algorithm)
	}
	return best, nil
}

// emptyUpload is an open upload without parts, and the checksum by which the server says
// that it checks it.
type emptyUpload struct {
	OpenUpload
	algorithm string
}

// clearEmpty aborts the uploads without parts, found before, that look as own does, which
// was just created. Not every server says how it checks an upload.
func (j *job) clearEmpty(ctx context.Context, own OpenUpload) {
	if len(j.empty) == 0 {
		return
	}
	if found, err := j.listParts(ctx, own); err == nil {
		j.abortEmpty(ctx, found.algorithm)
	}
}

func (j *job) abortEmpty(ctx context.Context, algorithm string) {
	for _, u := range j.empty {
		if u.algorithm == algorithm {
			_ = j.abort(ctx, u.OpenUpload) // It stays open, and the file is not the worse for it.
		}
	}
	j.empty = nil
}

// sweep aborts the uploads of the file's key, but keep, that requests without an answer have
// opened since a time: those without parts. When its context has ended, the server may
// still be at it, so it looks twice.
func (j *job) sweep(ctx context.Context, keep OpenUpload, since time.Time) {
	waits := []time.Duration{0}
	if ctx.Err() != nil {
		waits = append(waits, sweepAgain)
	}
	ctx, cancel := aborting(ctx)
	defer cancel()
	for _, wait := range waits {
		if sleep(ctx, wait) != nil {
			return
		}
		var uploads []OpenUpload
		err := j.cleanup(ctx, "list multipart uploads", func(ctx context.Context) (err error) {
			uploads, err = j.client.OpenUploads(ctx, j.file.Key)
			return err
		})
		if err != nil {
			return
		}
		for _, u := range uploads {
			if u.Key == j.file.Key && u.UploadID != keep.UploadID && j.isLost(ctx, u, since) {
				_ = j.abort(ctx, u) // As above.
			}
		}
	}
}

// sweepAgain is how long a server may take over a request that was cut off.
const sweepAgain = 200 * time.Millisecond

// isLost reports whether an upload has no parts and was opened since a time, give or take
// what clocks may differ by; where the server does not say when, how it is checked tells.
func (j *job) isLost(ctx context.Context, u OpenUpload, since time.Time) bool {
	if !u.Initiated.IsZero() && u.Initiated.Before(since.Add(-clockTolerance)) {
		return false
	}
	var found standingParts
	err := j.cleanup(ctx, "list parts", func(ctx context.Context) (err error) {
		found, err = j.client.listParts(ctx, u, j.algorithm)
		return err
	})
	return err == nil && len(found.parts) == 0 && (!u.Initiated.IsZero() || found.algorithm == j.algorithm)
}

// listParts returns what stands of an upload; of one that is gone, nothing that is ours.
func (j *job) listParts(ctx context.Context, u OpenUpload) (found standingParts, err error) {
	err = j.control(ctx, "list parts", func(ctx context.Context) (err error) {
		found, err = j.client.listParts(ctx, u, j.algorithm)
		return err
	})
	if e, ok := errors.AsType[*Error](err); ok && e.Reason == ReasonUploadVanished {
		return standingParts{}, nil
	}
	return found, err
}

// known returns the part size with which the parts found are those of the file: they lie
// as with its own or with the largest of their lengths, and the first or the last holds
// what the file holds there. It returns 0 if they are not.
func (j *job) known(ctx context.Context, found standingParts) (int64, error) {
	var largest int64
	for _, p := range found.parts {
		largest = max(largest, p.bytes)
	}
	for _, size := range []int64{j.partSize, largest} {
		if size < max(leastPart, (j.file.Size+maxParts-1)/maxParts) || !found.fits(j.file.Size, size) {
			continue
		}
		if known, err := j.recognise(ctx, found, size); !known {
			return 0, err
		}
		return size, nil
	}
	return 0, nil
}

// recognise reports whether the first or the last part that stands is one of the file.
func (j *job) recognise(ctx context.Context, found standingParts, size int64) (bool, error) {
	first, last := int32(maxParts), int32(1)
	for number := range found.parts {
		first, last = min(first, number), max(last, number)
	}
	for _, number := range []int32{first, last} {
		offset := int64(number-1) * size
		s := span{offset, min(size, j.file.Size-offset)}
		b, err := j.summed(ctx, s)
		if err != nil {
			return false, err
		}
		if found.holds(ctx, number, j.algorithm, b) != "" {
			return true, nil
		}
	}
	return false, nil
}

// summed reads a span of the file for its checksum alone.
func (j *job) summed(ctx context.Context, s span) (b *body, err error) {
	b = &body{length: s.length, source: j.source, offset: s.offset, key: j.file.Key, buffers: &j.memory.buffers, release: func() {}}
	b.users.Store(1)
	if b.sum, err = b.checksum(ctx, j.algorithm); err != nil {
		return nil, sourceError("read", j.file.Key, err)
	}
	return b, nil
}

// standsWhole returns a receipt if an earlier attempt has stored the whole file, the
// answer to which nobody has lived to see.
func (j *job) standsWhole(ctx context.Context) (Receipt, bool, error) {
	var object storedObject
	err := j.control(ctx, "look up object", func(ctx context.Context) (err error) {
		object, err = j.client.head(ctx, j.file.Key, j.algorithm)
		return err
	})
	if e := (*Error)(nil); errors.As(err, &e) && e.Class == Permission {
		return Receipt{}, false, nil // Who may only write sends it again.
	}
	if err != nil || object.bytes != j.file.Size || object.metadata["mtime"] != j.file.Metadata["mtime"] {
		return Receipt{}, false, err
	}
	want, err := j.wholeOf(ctx, object.checksum == "")
	if err != nil || ctx.Err() != nil {
		return Receipt{}, false, err
	}
	stands := want.checksum == object.checksum
	if object.checksum == "" {
		stands = want.etag == object.etag
	}
	return j.receipt(object.etag, want.checksum, want.parts, j.file.Size), stands, nil
}

// wholeObject is what a server would say of the file, sent in parts of the job's size.
type wholeObject struct {
	checksum string
	// etag is taken only where it is asked for, since it costs most; only is that of an
	// object that was not sent in parts, if there is but one.
	etag, only string
	parts      int
}

// wholeOf reads the whole file.
func (j *job) wholeOf(ctx context.Context, withETag bool) (wholeObject, error) {
	var sums []crc
	var lengths []int64
	var digests [][]byte
	for offset := int64(0); offset < j.file.Size && ctx.Err() == nil; offset += j.partSize {
		s := span{offset, min(j.partSize, j.file.Size-offset)}
		b, err := j.summed(ctx, s)
		if err != nil {
			return wholeObject{}, err
		}
		if withETag {
			digest, err := b.md5Sum(ctx)
			if err != nil {
				return wholeObject{}, sourceError("read", j.file.Key, err)
			}
			digests = append(digests, digest)
		}
		sums, lengths = append(sums, b.sum), append(lengths, s.length)
	}
	if err := j.source.Unchanged(); err != nil {
		return wholeObject{}, sourceError("read", j.file.Key, err)
	}
	w := wholeObject{checksum: objectChecksum(j.algorithm, sums, lengths), parts: len(sums)}
	if withETag {
		w.etag = compositeETag(digests)
		if len(digests) == 1 {
			w.only = hex.EncodeToString(digests[0])
		}
	}
	return w, nil
}

// listParts returns all parts of an upload.
func (c *Client) listParts(ctx context.Context, u OpenUpload, algorithm string) (standingParts, error) {
	all := standingParts{parts: map[int32]standingPart{}}
	pages := s3.NewListPartsPaginator(c.s3, &s3.ListPartsInput{Bucket: &c.options.Bucket, Key: &u.Key, UploadId: &u.UploadID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return all, err
		}
		all.algorithm = string(page.ChecksumAlgorithm)
		for _, p := range page.Parts {
			all.parts[aws.ToInt32(p.PartNumber)] = standingPart{
				etag: aws.ToString(p.ETag), bytes: aws.ToInt64(p.Size),
				checksum: checksumOf(algorithm, p.ChecksumCRC64NVME, p.ChecksumCRC32C),
			}
		}
	}
	return all, nil
}

// storedObject is what the server says of an object; all zero if there is none.
type storedObject struct {
	etag, checksum string
	bytes          int64
	metadata       map[string]string
}

func (c *Client) head(ctx context.Context, key, algorithm string) (storedObject, error) {
	out, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &c.options.Bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled,
	})
	if statusOf(err) == http.StatusNotFound {
		return storedObject{}, nil
	}
	if err != nil {
		return storedObject{}, err
	}
	metadata := make(map[string]string, len(out.Metadata))
	for name, value := range out.Metadata {
		metadata[strings.ToLower(name)] = value
	}
	return storedObject{
		etag: unquote(out.ETag), bytes: aws.ToInt64(out.ContentLength), metadata: metadata,
		checksum: checksumOf(algorithm, out.ChecksumCRC64NVME, out.ChecksumCRC32C),
	}, nil
}
