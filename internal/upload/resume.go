package upload

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"cargoship.dev/operator/internal/s3"
)

// standingParts are the parts of an open upload, as far as they are those of the object.
type standingParts struct {
	s3.ListedParts
	// partSize is that of the object, once it is known to have these parts.
	partSize int64
}

// bytes is how much stands.
func (s standingParts) bytes() (sum int64) {
	for _, p := range s.Parts {
		sum += p.Bytes
	}
	return sum
}

// fits reports whether all parts have the places and lengths of a file's parts.
func (s standingParts) fits(file, part int64) bool {
	for number, p := range s.Parts {
		offset := int64(number-1) * part
		if offset >= file || p.Bytes != min(part, file-offset) {
			return false
		}
	}
	return true
}

// holds returns the ETag of a part that stands with the content of a body; "" if it does
// not.
func (s standingParts) holds(ctx context.Context, number int32, algorithm string, b *s3.Body) string {
	p, listed := s.Parts[number]
	if !listed || !p.Holds(ctx, algorithm, b) {
		return ""
	}
	return p.ETag
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
func (j *job) resume(ctx context.Context, known func(standingParts) (int64, error)) (best s3.OpenUpload, err error) {
	for _, u := range j.file.Left {
		found, err := j.listParts(ctx, u)
		if e := (*s3.Error)(nil); errors.As(err, &e) && !e.Class.Retryable() {
			continue
		}
		if err != nil {
			return best, err
		}
		if len(found.Parts) == 0 {
			j.empty = append(j.empty, emptyUpload{u, found.Algorithm})
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
		j.abortEmpty(ctx, j.standing.Algorithm)
	}
	return best, nil
}

// emptyUpload is an open upload without parts, and the checksum by which the server says
// that it checks it.
type emptyUpload struct {
	s3.OpenUpload
	algorithm string
}

// clearEmpty aborts the uploads without parts, found before, that look as own does, which
// was just created. Not every server says how it checks an upload.
func (j *job) clearEmpty(ctx context.Context, own s3.OpenUpload) {
	if len(j.empty) == 0 {
		return
	}
	if found, err := j.listParts(ctx, own); err == nil {
		j.abortEmpty(ctx, found.Algorithm)
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
func (j *job) sweep(ctx context.Context, keep s3.OpenUpload, since time.Time) {
	waits := []time.Duration{0}
	if ctx.Err() != nil {
		waits = append(waits, sweepAgain)
	}
	ctx, cancel := aborting(ctx)
	defer cancel()
	for _, wait := range waits {
		if s3.Sleep(ctx, wait) != nil {
			return
		}
		var uploads []s3.OpenUpload
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
func (j *job) isLost(ctx context.Context, u s3.OpenUpload, since time.Time) bool {
	if !u.Initiated.IsZero() && u.Initiated.Before(since.Add(-s3.ClockTolerance)) {
		return false
	}
	var found standingParts
	err := j.cleanup(ctx, "list parts", func(ctx context.Context) (err error) {
		found.ListedParts, err = j.client.ListParts(ctx, u, j.algorithm)
		return err
	})
	return err == nil && len(found.Parts) == 0 && (!u.Initiated.IsZero() || found.Algorithm == j.algorithm)
}

// listParts returns what stands of an upload; of one that is gone, nothing that is ours.
func (j *job) listParts(ctx context.Context, u s3.OpenUpload) (found standingParts, err error) {
	err = j.control(ctx, "list parts", func(ctx context.Context) (err error) {
		found.ListedParts, err = j.client.ListParts(ctx, u, j.algorithm)
		return err
	})
	if e, ok := errors.AsType[*s3.Error](err); ok && e.Reason == s3.ReasonUploadVanished {
		return standingParts{}, nil
	}
	return found, err
}

// known returns the part size with which the parts found are those of the file: they lie
// as with its own or with the largest of their lengths, and the first or the last holds
// what the file holds there. It returns 0 if they are not.
func (j *job) known(ctx context.Context, found standingParts) (int64, error) {
	var largest int64
	for _, p := range found.Parts {
		largest = max(largest, p.Bytes)
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
	for number := range found.Parts {
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
func (j *job) summed(ctx context.Context, s span) (*s3.Body, error) {
	return s3.SumBody(ctx, j.algorithm, j.section(s))
}

// standsWhole returns a receipt if an earlier attempt has stored the whole file, the
// answer to which nobody has lived to see.
func (j *job) standsWhole(ctx context.Context) (Receipt, bool, error) {
	object, found, err := j.lookUp(ctx, j.file.Key)
	if e := (*s3.Error)(nil); errors.As(err, &e) && e.Class == s3.Permission {
		return Receipt{}, false, nil // Who may only write sends it again.
	}
	if err != nil || !found || object.Size != j.file.Size || object.Metadata[MetadataTime] != j.file.Metadata[MetadataTime] {
		return Receipt{}, false, err
	}
	checksum := object.Checksums[j.algorithm]
	want, err := j.wholeOf(ctx, checksum == "")
	if err != nil || ctx.Err() != nil {
		return Receipt{}, false, err
	}
	stands := want.checksum == checksum
	if checksum == "" {
		stands = want.etag == object.ETag
	}
	return j.receipt(object.ETag, want.checksum, want.parts, j.file.Size), stands, nil
}

// lookUp asks for what stands at a key.
func (j *job) lookUp(ctx context.Context, key string) (info s3.ObjectInfo, found bool, err error) {
	err = j.control(ctx, "look up object", func(ctx context.Context) (err error) {
		info, err = j.client.StatOnce(ctx, key)
		found = err == nil
		if errors.Is(err, s3.ErrNotFound) {
			return nil
		}
		return err
	})
	return info, found, err
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
	var parts []s3.Part
	var digests [][]byte
	for offset := int64(0); offset < j.file.Size && ctx.Err() == nil; offset += j.partSize {
		s := span{offset, min(j.partSize, j.file.Size-offset)}
		b, err := j.summed(ctx, s)
		if err != nil {
			return wholeObject{}, err
		}
		if withETag {
			digest, err := b.MD5(ctx)
			if err != nil {
				return wholeObject{}, s3.SourceError("read", j.file.Key, err)
			}
			digests = append(digests, digest)
		}
		parts = append(parts, s3.Part{Sum: b.Sum(), Length: s.length})
	}
	if err := j.source.Unchanged(); err != nil {
		return wholeObject{}, s3.SourceError("read", j.file.Key, err)
	}
	w := wholeObject{checksum: s3.ObjectChecksum(j.algorithm, parts), parts: len(parts)}
	if withETag {
		w.etag = s3.CompositeETag(digests)
		if len(digests) == 1 {
			w.only = hex.EncodeToString(digests[0])
		}
	}
	return w, nil
}
