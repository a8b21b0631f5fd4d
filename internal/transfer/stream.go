package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
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
	Left []OpenUpload
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
	err = u.client.withChecksum(func(algorithm string) (err error) {
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
		return Receipt{}, Classify("store", f.Key, err)
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
	sum    crc
	length int64
	last   bool
	etag   string
}

// putWhole sends the object in one request. errors.Is(err, errLonger) if it has
// more than one part.
func (j *streamJob) putWhole(ctx context.Context) (Receipt, error) {
	var etag string
	err := j.sendPart(ctx, partRequest{op: "put object", whole: true, made: func() {}, send: func(ctx context.Context, b *body) (err error) {
		etag, err = j.client.putFile(ctx, j.file, j.algorithm, b)
		return err
	}})
	if err != nil {
		return Receipt{}, err
	}
	m := j.made[0]
	return j.receipt(etag, m.sum.encode(j.algorithm), 0, m.length), nil
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
		return Receipt{}, j.abandon(ctx, upload, Classify("store", j.file.Key, err))
	}
	return receipt, nil
}

// known returns the part size if the parts found are of the object: the first is.
func (j *streamJob) known(ctx context.Context, found standingParts) (int64, error) {
	first, err := j.makeNow(ctx, partRequest{made: func() {}})
	if err != nil {
		return 0, sourceError("read", j.file.Key, err)
	}
	defer first.free()
	if found.holds(ctx, 1, j.algorithm, first) == "" {
		return 0, nil
	}
	return j.size, nil
}

// stood reports whether a part that was made stands already.
func (j *streamJob) stood(ctx context.Context, r partRequest, b *body) bool {
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
func (j *streamJob) fill(ctx context.Context, upload OpenUpload) (Receipt, error) {
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
	var parts []types.CompletedPart
	var sums []crc
	var lengths []int64
	for i := range j.made {
		m, number := &j.made[i], int32(i+1)
		part := types.CompletedPart{ETag: &m.etag, PartNumber: &number}
		setChecksum(j.algorithm, m.sum.encode(j.algorithm), &part.ChecksumCRC64NVME, &part.ChecksumCRC32C)
		parts, sums, lengths = append(parts, part), append(sums, m.sum), append(lengths, m.length)
		j.file.Size += m.length
	}
	sum := objectChecksum(j.algorithm, sums, lengths)
	etag, err := j.complete(ctx, upload, parts, sum)
	return j.receipt(etag, sum, len(parts), j.file.Size), err
}

// putPart sends one part of an upload, and calls made once it is made.
func (j *streamJob) putPart(ctx context.Context, upload OpenUpload, n int, made func()) error {
	return j.sendPart(ctx, partRequest{op: "upload part", n: n, made: made, send: func(ctx context.Context, b *body) error {
		etag, err := j.client.uploadPart(ctx, upload, int32(n+1), j.algorithm, b)
		if err != nil {
			if statusOf(err) == 0 {
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
	send func(ctx context.Context, b *body) error
}

// sendPart sends a part as often as it takes. Every attempt makes the part again,
// so that none waits for its turn holding memory that others need to make progress.
func (j *streamJob) sendPart(ctx context.Context, r partRequest) error {
	return j.retrier.do(ctx, func() *Error { return j.attemptPart(ctx, r) })
}

// attemptPart makes the part while it waits for the gate, if there is memory for
// that, else when it is through.
func (j *streamJob) attemptPart(ctx context.Context, r partRequest) *Error {
	b, err := j.makeAhead(ctx, r)
	if err != nil {
		return sourceError("read", j.file.Key, err)
	}
	defer func() { b.free() }()
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
		return Classify(r.op, j.file.Key, err)
	}
	defer release()
	ready()
	if b == nil {
		if b, err = j.makeNow(ctx, r); err != nil {
			return sourceError("read", j.file.Key, err)
		}
		if j.stood(ctx, r, b) {
			return nil
		}
	}
	return j.measured(ctx, r.op, j.file.Key, j.file.Prefix, payload{b.length, true}, func(ctx context.Context) error {
		return r.send(ctx, b)
	})
}

// cost is what a part takes of some memory, in bytes.
func (j *streamJob) cost(of int64) int64 { return min(j.size, of) }

// makeAhead makes a part, and holds its share of what may be ready, if there is memory
// for both; else it returns nil.
func (j *streamJob) makeAhead(ctx context.Context, r partRequest) (*body, error) {
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
func (j *streamJob) makeNow(ctx context.Context, r partRequest) (*body, error) {
	cost := j.cost(j.memory.limit / 2)
	if err := j.memory.behind.Acquire(ctx, cost); err != nil {
		return nil, err
	}
	return j.makePart(ctx, r, func() { j.memory.behind.Release(cost) })
}

// makePart makes a part; one that was made before must come out the same. release is
// called once the body is freed, or at once on an error.
func (j *streamJob) makePart(ctx context.Context, r partRequest, release func()) (*body, error) {
	buffer := j.memory.parts.get(j.size)
	b := &body{key: j.file.Key, release: func() { j.memory.parts.put(buffer); release() }}
	b.users.Store(1)
	last, err := j.fillBody(ctx, b, r, (*buffer)[:j.size])
	if err == nil && r.whole && !last {
		err = errLonger
	}
	if err != nil {
		b.free()
		return nil, err
	}
	r.made()
	return b, nil
}

// fillBody makes the part in a buffer.
func (j *streamJob) fillBody(ctx context.Context, b *body, r partRequest, buffer []byte) (last bool, err error) {
	length, last, err := j.parts.Fill(ctx, r.n, buffer)
	if err != nil {
		return last, err
	}
	b.length, b.content = int64(length), buffer[:length]
	if j.spread != nil {
		b.sent = &j.spread.sent
	}
	b.sum = checksumBytes(j.algorithm, b.content)
	if err := j.client.digest(ctx, b); err != nil {
		return last, err
	}
	return last, j.takeDown(r.n, madePart{sum: b.sum, length: b.length, last: last})
}

// partPool keeps the buffers of streams, most of which have the same size. Its zero
// value is ready for use.
type partPool struct {
	pool sync.Pool
	use  *usage
}

func (p *partPool) get(size int64) *[]byte {
	buffer, ok := p.pool.Get().(*[]byte)
	if !ok || int64(len(*buffer)) < size {
		made := make([]byte, size)
		buffer = &made
	}
	p.use.take(int64(len(*buffer)))
	return buffer
}

func (p *partPool) put(buffer *[]byte) {
	p.use.give(int64(len(*buffer)))
	p.pool.Put(buffer)
}

func (j *streamJob) takeDown(n int, m madePart) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n == len(j.made) {
		j.made = append(j.made, m)
		return nil
	}
	if before := j.made[n]; before.sum != m.sum || before.length != m.length {
		return changedError{fmt.Sprintf("part %d of the archive is not what it was when it was first read", n+1)}
	}
	return nil
}
