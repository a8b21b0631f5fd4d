package upload

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"cargoship.dev/operator/internal/s3"
)

// storedParts are the parts of an open upload, as far as they are those of the object.
type storedParts struct {
	s3.ListedParts
	// partSize is that of the object, once it is known to have these parts.
	partSize int64
}

// bytes is how much is stored.
func (s storedParts) bytes() (sum int64) {
	for _, p := range s.Parts {
		sum += p.Bytes
	}
	return sum
}

// fits reports whether all parts have the places and lengths of a file's parts.
func (s storedParts) fits(file, part int64) bool {
	for number, p := range s.Parts {
		offset := int64(number-1) * part
		if offset >= file || p.Bytes != min(part, file-offset) {
			return false
		}
	}
	return true
}

// holds returns the ETag of a stored part with the content of a body; "" if there is none.
func (s storedParts) holds(ctx context.Context, number int32, algorithm string, b *s3.Body) string {
	p, listed := s.Parts[number]
	if !listed || !p.Holds(ctx, algorithm, b) {
		return ""
	}
	return p.ETag
}

// resume returns the open upload that has most of the object already, and sets the stored
// parts; the upload's ID is empty if there is none. Others that earlier attempts have
// left open are aborted, as are those of which it could not be checked afterwards how they were
// created; and those that may be somebody else's are left alone.
//
// An upload carries no mark of who created it. But one with a part of this object is of
// this object; and one without parts, that is checked as this one, holds
// nothing of anybody's: see clearEmpty. Resuming is a convenience: an upload that the server
// does not list is left alone.
func (o *object) resume(ctx context.Context) (best s3.OpenUpload, err error) {
	for _, u := range o.file.ResumableUploads {
		found, err := o.listParts(ctx, u)
		if e, ok := errors.AsType[*s3.Error](err); ok && e.AboutObject() && !e.Class.Retryable() {
			continue
		}
		if err != nil {
			return best, err
		}
		if len(found.Parts) == 0 {
			o.empty = append(o.empty, emptyUpload{u, found.Algorithm})
			continue
		}
		if found.partSize, err = o.source.recognize(ctx, found); err != nil {
			return best, s3.SourceError("read", o.file.Key, err)
		}
		if found.partSize == 0 {
			continue
		}
		own := o.kept.has(u, o.file.Metadata)
		if (own || o.client.TellsSettings()) && found.bytes() > o.stored.bytes() {
			u, best, o.stored, o.own = best, u, found, own
		}
		if u.UploadID == "" {
			continue
		}
		if err := o.abort(ctx, u); err != nil {
			return best, err
		}
	}
	if best.UploadID != "" {
		o.source.cut(o.stored.partSize)
		o.abortEmpty(ctx, o.stored.Algorithm)
	}
	return best, nil
}

// keptUploads are uploads that were created and left open here, with the metadata that they were
// created with, by ID. Their other settings are those of all.
type keptUploads struct{ metadata sync.Map }

func (k *keptUploads) add(u s3.OpenUpload, metadata map[string]string) {
	k.metadata.Store(u.UploadID, metadata)
}

// has reports whether an upload was created here with the same metadata.
func (k *keptUploads) has(u s3.OpenUpload, metadata map[string]string) bool {
	created, ok := k.metadata.Load(u.UploadID)
	if !ok {
		return false
	}
	before, ok := created.(map[string]string)
	return ok && maps.Equal(before, metadata)
}

// emptyUpload is an open upload without parts, and the checksum by which the server says
// that it checks it.
type emptyUpload struct {
	s3.OpenUpload
	algorithm string
}

// clearEmpty aborts the uploads without parts, found before, that look as own does, which
// was just created. Not every server says how it checks an upload.
func (o *object) clearEmpty(ctx context.Context, own s3.OpenUpload) {
	if len(o.empty) == 0 {
		return
	}
	if found, err := o.listParts(ctx, own); err == nil {
		o.abortEmpty(ctx, found.Algorithm)
	}
}

func (o *object) abortEmpty(ctx context.Context, algorithm string) {
	for _, u := range o.empty {
		if u.algorithm == algorithm {
			_ = o.abort(ctx, u.OpenUpload) // If it stays open, that does no harm to the file.
		}
	}
	o.empty = nil
}

// sweep aborts the uploads of the file's key, but keep, that requests without an answer have
// opened since a time: those without parts. When its context has ended, the server may
// still be at it, so it looks twice.
func (o *object) sweep(ctx context.Context, keep s3.OpenUpload, since time.Time) {
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
		err := o.cleanup(ctx, "list multipart uploads", func(ctx context.Context) (err error) {
			uploads, err = o.client.OpenUploads(ctx, o.file.Key)
			return err
		})
		if err != nil {
			return
		}
		for _, u := range uploads {
			if u.Key == o.file.Key && u.UploadID != keep.UploadID && o.isLost(ctx, u, since) {
				_ = o.abort(ctx, u) // As above.
			}
		}
	}
}

// sweepAgain is how long a server may take over a request that was cut off.
const sweepAgain = 200 * time.Millisecond

// isLost reports whether an upload has no parts and was opened since a time, give or take
// what clocks may differ by; where the server does not say when, how it is checked tells.
func (o *object) isLost(ctx context.Context, u s3.OpenUpload, since time.Time) bool {
	if !u.Initiated.IsZero() && u.Initiated.Before(since.Add(-s3.ClockTolerance)) {
		return false
	}
	var found storedParts
	err := o.cleanup(ctx, "list parts", func(ctx context.Context) (err error) {
		found.ListedParts, err = o.client.ListParts(ctx, u, o.bodies.algorithm)
		return err
	})
	return err == nil && len(found.Parts) == 0 && (!u.Initiated.IsZero() || found.Algorithm == o.bodies.algorithm)
}

// listParts returns the stored parts of an upload; of one that is gone, none.
func (o *object) listParts(ctx context.Context, u s3.OpenUpload) (found storedParts, err error) {
	err = o.control(ctx, "list parts", func(ctx context.Context) (err error) {
		found.ListedParts, err = o.client.ListParts(ctx, u, o.bodies.algorithm)
		return err
	})
	if e, ok := errors.AsType[*s3.Error](err); ok && e.Reason == s3.ReasonUploadVanished {
		return storedParts{}, nil
	}
	return found, err
}

// isStored reports whether a part is stored already, and if so fills it in.
func (o *object) isStored(ctx context.Context, p *s3.Part) (bool, error) {
	if _, listed := o.stored.Parts[p.Number]; !listed {
		return false, nil
	}
	b, err := o.source.sum(ctx, int(p.Number-1))
	if err != nil {
		return false, s3.SourceError("read", o.file.Key, err)
	}
	defer b.Free()
	p.Sum, p.Length = b.Sum(), b.Length
	p.ETag = o.stored.holds(ctx, p.Number, o.bodies.algorithm, b)
	return p.ETag != "", ctx.Err()
}
