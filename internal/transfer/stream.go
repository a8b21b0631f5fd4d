package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
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
}

// Parts makes an object part by part.
type Parts interface {
	// Fill makes part n, counted from 0, in buf; it returns the length and whether
	// it is the last. All but the last have at least 5 MiB if buf has 8. Parts are
	// asked for in order the first time, and may be asked for again.
	Fill(n int, buf []byte) (length int, last bool, err error)
	Close() error
}

// errLonger says that an object sent whole has more parts after all.
var errLonger = errors.New("the object is larger than expected")

// UploadStream sends one object and returns once the server has confirmed all of
// it. On failure nothing of it stays behind, unless the error says so in
// LeftOpen. Every error is an *Error.
func (u *Uploader) UploadStream(ctx context.Context, s Stream) (Receipt, error) {
	f := File{Prefix: s.Prefix, Key: s.Key, Metadata: s.Metadata}
	if err := f.validate(); err != nil {
		return Receipt{}, err
	}
	parts, err := s.Open()
	if err != nil {
		return Receipt{}, sourceError("open", f.Key, err)
	}
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
	err := j.sendPart(ctx, partRequest{op: "put object", whole: true, made: func() {}, send: func(ctx context.Context, content []byte, m madePart) (err error) {
		etag, err = j.client.putObject(ctx, &s3.PutObjectInput{
			Key:          &j.file.Key,
			Body:         bytes.NewReader(content),
			Metadata:     j.file.Metadata,
			StorageClass: types.StorageClass(j.client.options.StorageClass),
			Tagging:      j.client.tagging(),
		}, j.algorithm, m.sum)
		return err
	}})
	if err != nil {
		return Receipt{}, err
	}
	m := j.made[0]
	return Receipt{
		ETag: etag, Checksum: m.sum.encode(j.algorithm), ChecksumAlgorithm: j.algorithm, Bytes: m.length,
	}, nil
}

// putParts sends the object in parts.
func (j *streamJob) putParts(ctx context.Context) (Receipt, error) {
	upload, err := j.create(ctx)
	if err != nil {
		return Receipt{}, err
	}
	receipt, err := j.fill(ctx, upload)
	if err != nil {
		return Receipt{}, j.abandon(ctx, upload, Classify("store", j.file.Key, err))
	}
	return receipt, nil
}

// fill sends all parts and completes the upload. A part is begun once the one
// before it is made, so that they are made in order and sent side by side.
func (j *streamJob) fill(ctx context.Context, upload OpenUpload) (Receipt, error) {
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(j.MaxInFlight() + 2)
	for n := 0; n < maxParts; n++ {
		made := make(chan struct{})
		group.Go(func() error { return j.putPart(sending, upload, n, sync.OnceFunc(func() { close(made) })) })
		select {
		case <-made:
		case <-sending.Done():
		}
		if sending.Err() != nil || j.part(n).last {
			break
		}
	}
	if err := group.Wait(); err != nil {
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
	return Receipt{
		ETag: etag, Checksum: sum, ChecksumAlgorithm: j.algorithm, Parts: len(parts), Bytes: j.file.Size,
	}, err
}

// putPart sends one part of an upload, and calls made once it is made.
func (j *streamJob) putPart(ctx context.Context, upload OpenUpload, n int, made func()) error {
	return j.sendPart(ctx, partRequest{op: "upload part", n: n, made: made, send: func(ctx context.Context, content []byte, m madePart) error {
		etag, err := j.client.uploadPart(ctx, upload, int32(n+1), bytes.NewReader(content), j.algorithm, m.sum)
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
	send func(ctx context.Context, content []byte, m madePart) error
}

// sendPart sends a part as often as it takes. Every attempt makes the part again,
// so that none waits for its turn holding memory that others need to make progress.
func (j *streamJob) sendPart(ctx context.Context, r partRequest) error {
	return j.retrier.do(ctx, func() *Error { return j.attemptPart(ctx, r) })
}

// attemptPart makes the part while it waits for the gate, if there is memory for
// that, else when it is through.
func (j *streamJob) attemptPart(ctx context.Context, r partRequest) *Error {
	cost := min(j.size, j.memory.limit/2)
	var buf []byte
	var m madePart
	ahead := j.memory.ahead.TryAcquire(cost)
	if ahead {
		defer j.memory.ahead.Release(cost)
		var err error
		if buf, m, err = j.makePart(r); err != nil {
			return sourceError("read", j.file.Key, err)
		}
	}
	release, err := j.gate.Acquire(ctx, j.file.Prefix)
	if err != nil {
		return Classify(r.op, j.file.Key, err)
	}
	defer release()
	if !ahead {
		if err := j.memory.behind.Acquire(ctx, cost); err != nil {
			return sourceError("read", j.file.Key, err)
		}
		defer j.memory.behind.Release(cost)
		if buf, m, err = j.makePart(r); err != nil {
			return sourceError("read", j.file.Key, err)
		}
	}
	return j.measured(ctx, r.op, j.file.Key, j.file.Prefix, payload{m.length, true}, func(ctx context.Context) error {
		return r.send(ctx, buf, m)
	})
}

// makePart makes a part; one that was made before must come out the same.
func (j *streamJob) makePart(r partRequest) ([]byte, madePart, error) {
	buf := make([]byte, j.size)
	length, last, err := j.parts.Fill(r.n, buf)
	if err != nil {
		return nil, madePart{}, err
	}
	m := madePart{sum: checksumBytes(j.algorithm, buf[:length]), length: int64(length), last: last}
	if err := j.takeDown(r.n, m); err != nil {
		return nil, m, err
	}
	if r.whole && !last {
		return nil, m, errLonger
	}
	r.made()
	return buf[:length], m, nil
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
