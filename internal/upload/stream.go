package upload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/s3"
)

// Stream is an object that is made while it is sent, such as an archive.
type Stream struct {
	// Prefix is the lane of control its requests are charged to.
	Prefix string
	// Key is the whole object key.
	Key string
	// Size is about what the object will at most have, in bytes.
	Size int64
	// Metadata is stored with the object; names and values are ASCII.
	Metadata map[string]string
	// Open opens what makes the object.
	Open func() (Parts, error)
	// Left are uploads found open at the key, as those of File.
	Left []s3.OpenUpload
}

// Parts makes an object part by part.
type Parts interface {
	// Fill makes part n, counted from 0, in buf; it returns the length and whether
	// it is the last. All but the last have at least 5 MiB if buf has 8. Parts are
	// asked for in order the first time, and may be asked for again.
	// An error may be ctx's.
	Fill(ctx context.Context, n int, buf []byte) (length int, last bool, err error)
	Close() error
}

// errLonger says that an object sent whole has more parts after all.
var errLonger = errors.New("the object is larger than expected")

// UploadStream sends one object and returns once the server has confirmed all of
// it. On failure nothing of it stays behind, unless the error says so in
// LeftOpen. Every error is an *Error.
func (u *Uploader) UploadStream(ctx context.Context, s Stream) (Receipt, error) {
	f := File{Prefix: s.Prefix, Key: s.Key, Metadata: s.Metadata, Left: s.Left}
	if err := f.validate(); err != nil {
		return Receipt{}, err
	}
	var parts Parts
	release, err := u.open(ctx, f.Key, func() (err error) {
		parts, err = s.Open()
		return err
	})
	if err != nil {
		return Receipt{}, err
	}
	defer release()
	defer parts.Close() //nolint:errcheck // Nothing was written to it.
	var receipt Receipt
	err = u.client.WithChecksum(func(algorithm string) (err error) {
		j := &streamJob{
			job:   &job{Uploader: u, file: f, algorithm: algorithm},
			parts: parts, size: partSize(s.Size),
		}
		if s.Size <= j.size {
			receipt, err = j.putWhole(ctx)
			if !errors.Is(err, errLonger) {
				return err
			}
		}
		receipt, err = j.putParts(ctx)
		return err
	})
	if err != nil {
		return Receipt{}, s3.Classify("store", f.Key, err)
	}
	return receipt, nil
}

// streamJob is the upload of one stream with one checksum algorithm.
type streamJob struct {
	*job
	parts Parts
	// size is that of the buffers, in bytes: what a part may have.
	size int64

	mu sync.Mutex
	// made are the parts that were filled at least once.
	made []madePart
}

type madePart struct {
	sum    s3.CRC
	length int64
	last   bool
	etag   string
}

// putWhole sends the object in one request. errors.Is(err, errLonger) if it has
// more than one part.
func (j *streamJob) putWhole(ctx context.Context) (Receipt, error) {
	var etag string
	err := j.sendPart(ctx, partRequest{op: "put object", whole: true, made: func() {}, send: func(ctx context.Context, b *s3.Body) (err error) {
		etag, err = j.client.PutFile(ctx, j.object(), j.algorithm, b)
		return err
	}})
	if err != nil {
		return Receipt{}, err
	}
	m := j.made[0]
	return j.receipt(etag, m.sum.Encode(j.algorithm), 0, m.length), nil
}

// putParts sends the object in parts.
func (j *streamJob) putParts(ctx context.Context) (Receipt, error) {
	upload, err := j.resume(ctx, func(found standingParts) (int64, error) { return j.known(ctx, found) })
	if err == nil && upload.UploadID == "" {
		upload, err = j.create(ctx)
	}
	if err != nil {
		return Receipt{}, err
	}
	receipt, err := j.fill(ctx, upload)
	if err != nil {
		return Receipt{}, j.abandon(ctx, upload, s3.Classify("store", j.file.Key, err))
	}
	return receipt, nil
}

// known returns the part size if the parts found are of the object: the first is.
func (j *streamJob) known(ctx context.Context, found standingParts) (int64, error) {
	first, err := j.makeNow(ctx, partRequest{made: func() {}})
	if err != nil {
		return 0, s3.SourceError("read", j.file.Key, err)
	}
	defer first.Free()
	if found.holds(ctx, 1, j.algorithm, first) == "" {
		return 0, nil
	}
	return j.size, nil
}

// stood reports whether a part that was made stands already.
func (j *streamJob) stood(ctx context.Context, r partRequest, b *s3.Body) bool {
	if b == nil {
		return false
	}
	etag := j.standing.holds(ctx, int32(r.n+1), j.algorithm, b)
	if etag == "" {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.made[r.n].etag = etag
	return true
}

// fill sends all parts and completes the upload. A part is begun once the one
// before it is made, so that they are made in order and sent side by side.
func (j *streamJob) fill(ctx context.Context, upload s3.OpenUpload) (Receipt, error) {
	group, sending := errgroup.WithContext(ctx)
	spread, leave := j.spreadParts()
	for n := 0; n < maxParts; n++ {
		made := make(chan struct{})
		if spread.begin(sending) != nil {
			break
		}
		begun := time.Now()
		group.Go(func() error {
			err := j.putPart(sending, upload, n, sync.OnceFunc(func() { close(made) }))
			spread.end(j.part(n).length, time.Since(begun))
			return err
		})
		select {
		case <-made:
		case <-sending.Done():
		}
		if sending.Err() != nil || j.part(n).last {
			break
		}
	}
	err := cmp.Or(group.Wait(), ctx.Err())
	leave()
	if err != nil {
		return Receipt{}, err
	}
	if !j.made[len(j.made)-1].last {
		return Receipt{}, fmt.Errorf("the object needs more than %d parts: lower the target size", maxParts)
	}
	parts := make([]s3.Part, len(j.made))
	for i, m := range j.made {
		parts[i] = s3.Part{Number: int32(i + 1), ETag: m.etag, Sum: m.sum, Length: m.length}
	}
	return j.complete(ctx, s3.Assemble(upload, j.algorithm, parts))
}

// putPart sends one part of an upload, and calls made once it is made.
func (j *streamJob) putPart(ctx context.Context, upload s3.OpenUpload, n int, made func()) error {
	return j.sendPart(ctx, partRequest{op: "upload part", n: n, made: made, send: func(ctx context.Context, b *s3.Body) error {
		etag, err := j.client.UploadPart(ctx, upload, int32(n+1), j.algorithm, b)
		if err != nil {
			if s3.Status(err) == 0 {
				j.cutOff.Store(true)
			}
			return err
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		j.made[n].etag = etag
		return nil
	}})
}

// part returns what is known of a part; nothing before it is made.
func (j *streamJob) part(n int) madePart {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n >= len(j.made) {
		return madePart{}
	}
	return j.made[n]
}

// partRequest is one part as the body of one request.
type partRequest struct {
	op string
	n  int
	// whole: the part must be the last.
	whole bool
	// made is called once the part is made.
	made func()
	send func(ctx context.Context, b *s3.Body) error
}

// sendPart sends a part as often as it takes. Every attempt makes the part again,
// so that none waits for its turn holding memory that others need to make progress.
func (j *streamJob) sendPart(ctx context.Context, r partRequest) error {
	return j.retrier.Do(ctx, func() *s3.Error { return j.attemptPart(ctx, r) })
}

// attemptPart makes the part while it waits for the gate, if there is memory for
// that, else when it is through.
func (j *streamJob) attemptPart(ctx context.Context, r partRequest) *s3.Error {
	b, err := j.makeAhead(ctx, r)
	if err != nil {
		return s3.SourceError("read", j.file.Key, err)
	}
	defer func() { b.Free() }()
	ready := sync.OnceFunc(func() { j.memory.ready.Release(j.cost(readyMemory)) })
	if b == nil {
		ready = func() {}
	}
	defer ready()
	if j.stood(ctx, r, b) {
		return nil
	}
	release, err := j.gate.Acquire(ctx, j.file.Prefix)
	if err != nil {
		return s3.Classify(r.op, j.file.Key, err)
	}
	defer release()
	ready()
	if b == nil {
		if b, err = j.makeNow(ctx, r); err != nil {
			return s3.SourceError("read", j.file.Key, err)
		}
		if j.stood(ctx, r, b) {
			return nil
		}
	}
	return j.measured(ctx, r.op, j.file.Key, j.file.Prefix, payload{b.Length, true}, func(ctx context.Context) error {
		return r.send(ctx, b)
	})
}

// cost is what a part takes of some memory, in bytes.
func (j *streamJob) cost(of int64) int64 { return min(j.size, of) }

// makeAhead makes a part, and holds its share of what may be ready, if there is memory
// for both; else it returns nil.
func (j *streamJob) makeAhead(ctx context.Context, r partRequest) (*s3.Body, error) {
	ready, cost := j.cost(readyMemory), j.cost(j.memory.limit/2)
	if !j.memory.ready.TryAcquire(ready) {
		return nil, nil
	}
	if !j.memory.ahead.TryAcquire(cost) {
		j.memory.ready.Release(ready)
		return nil, nil
	}
	b, err := j.makePart(ctx, r, func() { j.memory.ahead.Release(cost) })
	if err != nil {
		j.memory.ready.Release(ready)
	}
	return b, err
}

// makeNow waits for memory and makes a part.
func (j *streamJob) makeNow(ctx context.Context, r partRequest) (*s3.Body, error) {
	cost := j.cost(j.memory.limit / 2)
	if err := j.memory.behind.Acquire(ctx, cost); err != nil {
		return nil, err
	}
	return j.makePart(ctx, r, func() { j.memory.behind.Release(cost) })
}

// makePart makes a part; one that was made before must come out the same. release is
// called once the body is freed, or at once on an error.
func (j *streamJob) makePart(ctx context.Context, r partRequest, release func()) (*s3.Body, error) {
	buffer := j.memory.parts.get(j.size)
	giveBack := func() { j.memory.parts.put(buffer); release() }
	length, last, err := j.parts.Fill(ctx, r.n, (*buffer)[:j.size])
	if err != nil {
		giveBack()
		return nil, err
	}
	section := s3.Section{Key: j.file.Key, Release: giveBack}
	if j.spread != nil {
		section.Sent = &j.spread.sent
	}
	b := s3.ContentBody(j.algorithm, (*buffer)[:length], section)
	err = j.client.Digest(ctx, b)
	if err == nil {
		err = j.takeDown(r.n, madePart{sum: b.Sum(), length: b.Length, last: last})
	}
	if err == nil && r.whole && !last {
		err = errLonger
	}
	if err != nil {
		b.Free()
		return nil, err
	}
	r.made()
	return b, nil
}

func (j *streamJob) takeDown(n int, m madePart) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n == len(j.made) {
		j.made = append(j.made, m)
		return nil
	}
	if before := j.made[n]; before.sum != m.sum || before.length != m.length {
		return s3.ChangedError{Text: fmt.Sprintf("part %d of the archive is not what it was when it was first read", n+1)}
	}
	return nil
}
