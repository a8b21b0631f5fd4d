package upload

import (
	"cmp"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/s3"
)

const (
	// abortTimeout bounds how long an upload that failed is being aborted, and
	// stoppedTimeout one of a run that is stopped, since somebody waits for its end.
	abortTimeout   = 30 * time.Second
	stoppedTimeout = 4 * time.Second
	// abortPatience bounds how long each request of that waits for the gate.
	abortPatience = time.Second
)

// partSize returns the size of all parts but the last of an object of this size: the
// least multiple of 1 MiB, from minPart up, that gives at most maxParts.
func partSize(size int64) int64 {
	const mebi = 1 << 20
	least := (size + maxParts - 1) / maxParts
	return max((least+mebi-1)/mebi*mebi, minPart)
}

// pacedPart is the largest part, in bytes, that is made larger only because requests are
// paced: what is lost with a request must stay little.
const pacedPart = 64 << 20

// choosePartSize returns the part size of the file. Where the destination grants requests by
// the second, larger parts carry more in each, as long as there are enough to fill the
// window twice.
func (j *job) choosePartSize() int64 {
	const mebi = 1 << 20
	size := partSize(j.file.Size)
	window, rate := j.gate.limit(j.file.Prefix)
	if rate == 0 || window == 0 {
		return size
	}
	return max(size, min(j.file.Size/int64(2*window)/mebi*mebi, pacedPart))
}

// putParts sends the file in parts, which become an object only when all stand and the
// file is still the planned one.
func (j *job) putParts(ctx context.Context) (Receipt, error) {
	j.partSize = j.choosePartSize()
	upload, err := j.resume(ctx, func(found standingParts) (int64, error) { return j.known(ctx, found) })
	switch {
	case err != nil:
		return Receipt{}, err
	case upload.UploadID != "":
		j.partSize = j.standing.partSize
	default:
		if j.file.Again {
			if receipt, stands, err := j.standsWhole(ctx); stands || err != nil {
				return receipt, err
			}
		}
		if upload, err = j.create(ctx); err != nil {
			return Receipt{}, err
		}
	}
	receipt, err := j.fill(ctx, upload)
	if err != nil {
		return j.givenUp(ctx, upload, s3.Classify("store", j.file.Key, err))
	}
	return receipt, nil
}

// givenUp says what becomes of a file when an upload of it cannot go on. If the upload is
// gone, another attempt at the file may have completed it.
func (j *job) givenUp(ctx context.Context, upload s3.OpenUpload, cause *s3.Error) (Receipt, error) {
	if cause.Reason == s3.ReasonUploadVanished {
		if receipt, stands, _ := j.standsWhole(ctx); stands {
			return receipt, nil
		}
	}
	return Receipt{}, j.abandon(ctx, upload, cause)
}

// create opens a multipart upload. An attempt whose answer was lost may have opened one
// as well; that is aborted.
func (j *job) create(ctx context.Context) (s3.OpenUpload, error) {
	if err := j.client.MayStore(ctx, j.file.Key); err != nil {
		return s3.OpenUpload{}, err
	}
	var upload s3.OpenUpload
	var lost bool
	begun := j.client.Now()
	err := j.control(ctx, opCreate, func(ctx context.Context) error {
		ctx, stop := lingering(ctx, createGrace)
		defer stop()
		var err error
		upload, err = j.client.CreateUpload(ctx, j.object(), j.algorithm)
		if err != nil {
			e := s3.Classify(opCreate, j.file.Key, err)
			lost = lost || e.Class == s3.Transient || e.Reason == s3.ReasonAnswerUnreadable
		}
		return err
	})
	if lost {
		// What cannot be listed or aborted stays open; the file is not the worse for it.
		j.sweep(ctx, upload, begun)
	}
	if err == nil {
		j.clearEmpty(ctx, upload)
	}
	if err == nil && ctx.Err() != nil {
		return s3.OpenUpload{}, j.abandon(ctx, upload, s3.Classify(opCreate, j.file.Key, ctx.Err()))
	}
	return upload, err
}

const opCreate = "create multipart upload"

// createGrace is how long the creation of an upload may go on once its context has ended.
// Cut off, it might open an upload of which nobody knows.
const createGrace = 500 * time.Millisecond

// lingering returns a context that ends some time after ctx.
func lingering(ctx context.Context, grace time.Duration) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel() }
}

// fill sends all parts and completes the upload.
func (j *job) fill(ctx context.Context, upload s3.OpenUpload) (Receipt, error) {
	size := j.partSize
	count := int((j.file.Size + size - 1) / size)
	parts := make([]s3.Part, count)
	group, sending := errgroup.WithContext(ctx)
	spread, leave := j.spreadParts()
	for i := range count {
		offset := int64(i) * size
		length := min(size, j.file.Size-offset)
		if spread.begin(sending) != nil {
			break
		}
		begun := time.Now()
		group.Go(func() (err error) {
			parts[i], err = j.putPart(sending, upload, int32(i+1), span{offset, length})
			spread.end(length, time.Since(begun))
			return err
		})
	}
	err := cmp.Or(group.Wait(), ctx.Err())
	leave()
	if err != nil {
		return Receipt{}, err
	}
	if err := j.source.Unchanged(); err != nil {
		return Receipt{}, s3.SourceError("read", j.file.Key, err)
	}
	return j.complete(ctx, s3.Assemble(upload, j.algorithm, parts))
}

// spreadParts returns what bounds the parts of the object; leave is to be called when all
// are done. Objects that are sent in parts at the same time share the window.
func (j *job) spreadParts() (s *spread, leave func()) {
	prefix := j.file.Prefix
	j.parted.add(prefix, 1)
	j.spread = newSpread(func() int {
		window, _ := j.gate.limit(prefix)
		return min(window/j.parted.count(prefix), j.MaxInFlight()) + partsAhead
	})
	return j.spread, func() { j.parted.add(prefix, -1) }
}

// partsAhead is how many parts beyond the window are read meanwhile.
const partsAhead = 2

// putPart sends a part, unless it stands already.
func (j *job) putPart(ctx context.Context, upload s3.OpenUpload, number int32, s span) (s3.Part, error) {
	part := s3.Part{Number: number, Length: s.length}
	if _, listed := j.standing.Parts[number]; listed {
		b, err := j.summed(ctx, s)
		if err != nil {
			return part, err
		}
		if part.ETag = j.standing.holds(ctx, number, j.algorithm, b); part.ETag != "" {
			part.Sum = b.Sum()
			return part, ctx.Err()
		}
	}
	var err error
	part.Sum, err = j.sendSpan(ctx, "upload part", s, func(ctx context.Context, b *s3.Body) error {
		var err error
		part.ETag, err = j.client.UploadPart(ctx, upload, number, j.algorithm, b)
		if err != nil && s3.Status(err) == 0 {
			j.cutOff.Store(true)
		}
		return err
	})
	return part, err
}

// complete makes the parts an object. When the answer to one attempt was lost, the next
// may find the upload gone and the object there.
func (j *job) complete(ctx context.Context, a s3.Assembly) (Receipt, error) {
	var etag string
	attempts := 0
	err := j.control(ctx, "complete multipart upload", func(ctx context.Context) error {
		attempts++
		var err error
		etag, err = j.client.CompleteUpload(ctx, a)
		if e, ok := errors.AsType[*s3.Error](err); ok && attempts > 1 && e.Reason == s3.ReasonUploadVanished {
			if standing, ok := j.client.Assembled(ctx, a); ok {
				etag = standing
				return nil
			}
		}
		return err
	})
	return j.receipt(etag, a.Sum, len(a.Parts), a.Size), err
}

// abandon aborts the upload because of cause, also when ctx has ended, and returns the
// cause, with the upload in LeftOpen if it could not be aborted. An upload that may go on
// is left open as well if uploads are to be kept.
func (j *job) abandon(ctx context.Context, upload s3.OpenUpload, cause *s3.Error) error {
	if j.keepOpen && cause.Class != s3.Source && cause.Class != s3.Integrity && cause.Reason != s3.ReasonUploadVanished &&
		cause.Reason != s3.ReasonUploadConflict {
		told := *cause
		told.LeftOpen = &upload
		return &told
	}
	ctx, cancel := aborting(ctx)
	defer cancel()
	err := j.abort(ctx, upload)
	if err == nil && j.cutOff.Load() {
		err = j.settle(ctx, upload)
	}
	if err == nil {
		return cause
	}
	told := *cause
	told.LeftOpen = &upload
	return &told
}

// aborting returns the context in which uploads are aborted, also when ctx has ended.
func aborting(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := abortTimeout
	if ctx.Err() != nil {
		timeout = stoppedTimeout
	}
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}

func (j *job) abort(ctx context.Context, upload s3.OpenUpload) error {
	return j.cleanup(ctx, "abort multipart upload", func(ctx context.Context) error {
		return j.client.AbortOnce(ctx, upload)
	})
}

// settle makes sure that the upload stays aborted. A part that was cut off may still be
// stored after the abort and bring the upload back; see AbortMultipartUpload in the
// Amazon S3 API reference.
func (j *job) settle(ctx context.Context, upload s3.OpenUpload) error {
	for wait := 50 * time.Millisecond; wait < time.Second; wait *= 4 {
		if err := s3.Sleep(ctx, wait); err != nil {
			return err
		}
		var open bool
		err := j.cleanup(ctx, "list parts", func(ctx context.Context) (err error) {
			open, err = j.client.IsOpen(ctx, upload)
			return err
		})
		if err == nil && !open {
			continue
		}
		if err := j.abort(ctx, upload); err != nil {
			return err
		}
	}
	return nil
}

// cleanup sends a request that clears away, as often as it takes.
func (j *job) cleanup(ctx context.Context, op string, send func(context.Context) error) error {
	return j.retrier.Do(ctx, func() *s3.Error {
		defer j.acquireSoon(ctx)()
		return j.measured(ctx, op, j.file.Key, j.file.Prefix, payload{}, send)
	})
}

// acquireSoon waits for the gate, but not for long and not when it is closed: it may be
// so for good, and an open upload is worse than one small request beyond the window.
func (j *job) acquireSoon(ctx context.Context) (release func()) {
	if window, _ := j.gate.limit(j.file.Prefix); window == 0 {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, abortPatience)
	defer cancel()
	release, err := j.gate.Acquire(ctx, j.file.Prefix)
	if err != nil {
		return func() {}
	}
	return release
}

// Requests returns how many requests it takes to store a file of this size.
func Requests(size int64) int64 {
	if size <= wholeLimit {
		return 1
	}
	return requests(size)
}

// StreamRequests returns about how many requests it takes to store a stream of this size.
func StreamRequests(size int64) int64 {
	if size <= partSize(size) {
		return 1
	}
	return requests(size)
}

// requests counts the parts, and what creates and completes the upload.
func requests(size int64) int64 {
	part := partSize(size)
	return (size+part-1)/part + 2
}
