package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"unicode/utf8"

	"cargoship.dev/operator/internal/s3"
)

// File is one file to send.
type File struct {
	// Prefix is the lane of control the file's requests are charged to.
	Prefix string
	// Key is the whole object key.
	Key string
	// Size in bytes, as planned.
	Size int64
	// Metadata is stored with the object; names and values are ASCII.
	Metadata map[string]string
	// Sync may have the object kept that stands already; empty means SyncNone.
	Sync Sync
	// Earlier is the key of the object that Sync may keep, if that is not Key: it is then
	// referred to where it is.
	Earlier string
	// Open opens the file. It may be called several times, never concurrently.
	Open func() (SourceFile, error)
	// Left are uploads found open at the key. One that holds parts of the file is gone on
	// with; one that is somebody else's stays as it is.
	Left []s3.OpenUpload
	// Again says that an earlier attempt may have stored the file: of a large one, the
	// server is asked first.
	Again bool
}

// SourceFile is an open file. Errors that have a method Reason() string give
// the Error its Reason.
type SourceFile interface {
	io.ReaderAt
	io.Closer
	// Unchanged returns nil while size and modification time are those planned.
	Unchanged() error
}

// Receipt tells what stands at the destination.
type Receipt struct {
	// Key is that of an object that was kept; empty for one that was sent.
	Key string
	// ETag without quotes.
	ETag string
	// Checksum of what the server has confirmed to have, base64; for a composite checksum
	// with "-" and the number of parts behind it. Where the MD5 is proof it is the
	// CRC64NVME of the same bytes, which the server may not keep.
	Checksum          string
	ChecksumAlgorithm string
	// Parts is 0 for an object sent whole.
	Parts int
	Bytes int64
	// Kept says that the object stood already and nothing was sent.
	Kept bool
}

// UploaderOptions holds what an Uploader works with. Client, Gate and Meter are required.
type UploaderOptions struct {
	Client *s3.Client
	Gate   *Gate
	Meter  *Meter
	// MemoryLimit is how much memory, in bytes, the bodies of requests may take.
	// 0 means 512 MiB; less than 16 MiB counts as 16 MiB.
	MemoryLimit int64
	// Taken is told the most that bodies have taken of it at once, in bytes, as that
	// rises; nil for no one.
	Taken func(most int64)
	// KeepOpen leaves an upload that is cut short open, for a later attempt to go on
	// with; the error tells in LeftOpen.
	KeepOpen bool
}

// Uploader sends files. It is safe for concurrent use.
type Uploader struct {
	client  *s3.Client
	gate    *Gate
	meter   *Meter
	memory  *memory
	retrier *s3.Retrier
	// keepOpen is UploaderOptions.KeepOpen.
	keepOpen    bool
	descriptors descriptors
	parted      parted
}

// NewUploader returns an Uploader.
func NewUploader(o UploaderOptions) *Uploader {
	u := &Uploader{
		client: o.Client, gate: o.Gate, meter: o.Meter,
		memory:   newMemory(o.MemoryLimit, o.Taken),
		retrier:  s3.NewRetrier(),
		keepOpen: o.KeepOpen,

		descriptors: newDescriptors(s3.DescriptorLimit()),
	}
	u.retrier.Gated = true
	return u
}

// MaxInFlight is the most requests that memory and the limit of open files let the
// Uploader have in flight.
func (u *Uploader) MaxInFlight() int {
	return min(int(u.memory.limit/requestMemory), u.descriptors.most)
}

// Upload sends one file and returns once the server has confirmed all of it. On
// failure, also when ctx ends, nothing of the file stays behind, unless the
// error says so in LeftOpen. Every error is an *Error.
func (u *Uploader) Upload(ctx context.Context, f File) (Receipt, error) {
	if err := f.validate(); err != nil {
		return Receipt{}, err
	}
	var source SourceFile
	release, err := u.open(ctx, f.Key, func() (err error) {
		source, err = f.Open()
		return err
	})
	if err != nil {
		return Receipt{}, err
	}
	defer release()
	defer source.Close() //nolint:errcheck // Nothing was written to it.
	var receipt Receipt
	if f.Sync != "" && f.Sync != SyncNone {
		j := &job{Uploader: u, file: f, source: source}
		if receipt, kept, err := j.keep(ctx); kept || err != nil {
			return receipt, err
		}
	}
	err = u.client.WithChecksum(func(algorithm string) error {
		j := &job{Uploader: u, file: f, source: source, algorithm: algorithm}
		var err error
		if f.Size <= wholeLimit {
			receipt, err = j.putWhole(ctx)
		} else {
			receipt, err = j.putParts(ctx)
		}
		return err
	})
	if err != nil {
		return Receipt{}, s3.Classify("store", f.Key, err)
	}
	return receipt, nil
}

// What S3 takes, see "Amazon S3 multipart upload limits" in its user guide.
const (
	maxKeyLength = 1024
	maxParts     = 10_000
	maxPart      = 5 << 30
)

// wholeLimit is the largest file, in bytes, that is sent in one request.
const wholeLimit = 16 << 20

// leastPart is the least that S3 takes for a part, but for the last, in bytes.
const leastPart = 5 << 20

// minPart is the smallest part size in bytes: smaller ones spend the requests that
// the destination grants per second.
const minPart = 8 << 20

func (f File) validate() error {
	refuse := func(reason, why string) error {
		return &s3.Error{Class: s3.Source, Reason: reason, Op: "store", Key: f.Key, Err: errors.New(why)}
	}
	switch {
	case len(f.Key) > maxKeyLength:
		return refuse(s3.ReasonKeyTooLong, fmt.Sprintf("the key has %d bytes, of at most %d", len(f.Key), maxKeyLength))
	case !utf8.ValidString(f.Key):
		return refuse(s3.ReasonNameNotUTF8, "the key is not UTF-8")
	case f.Size < 0 || f.Size > maxParts*maxPart:
		return refuse(s3.ReasonTooLarge, fmt.Sprintf("the file has %d bytes, of at most %d", f.Size, int64(maxParts*maxPart)))
	default:
		return nil
	}
}

// job is the upload of one file with one checksum algorithm.
type job struct {
	*Uploader
	file      File
	source    SourceFile
	algorithm string
	// cutOff: a part was sent to which no answer came.
	cutOff atomic.Bool
	// partSize is the size of all parts but the last, in bytes.
	partSize int64
	// spread bounds the parts; nil of an object that is sent whole.
	spread *spread
	// empty are uploads found at the key that may be of an earlier attempt.
	empty []emptyUpload
	// standing is what stands of the object in the upload that is gone on with.
	standing standingParts
}

// object is what the server is told of the file.
func (j *job) object() s3.Object { return s3.Object{Key: j.file.Key, Metadata: j.file.Metadata} }

// putWhole sends the file in one request.
func (j *job) putWhole(ctx context.Context) (Receipt, error) {
	var etag string
	sum, err := j.sendSpan(ctx, "put object", span{0, j.file.Size}, func(ctx context.Context, b *s3.Body) error {
		var err error
		etag, err = j.client.PutFile(ctx, j.object(), j.algorithm, b)
		return err
	})
	if err != nil {
		return Receipt{}, err
	}
	return j.receipt(etag, sum.Encode(j.algorithm), 0, j.file.Size), nil
}

// receipt tells of an object with a checksum by the job's algorithm.
func (j *job) receipt(etag, sum string, parts int, bytes int64) Receipt {
	return Receipt{ETag: etag, Checksum: sum, ChecksumAlgorithm: s3.ChecksumName(j.algorithm), Parts: parts, Bytes: bytes}
}

// sendSpan sends a span of the file as the body of one request, as often as it takes.
// Every attempt reads the span again, so that none waits for its turn holding memory
// that others need to make progress.
func (j *job) sendSpan(ctx context.Context, op string, s span, send func(context.Context, *s3.Body) error) (s3.CRC, error) {
	var sum s3.CRC
	err := j.retrier.Do(ctx, func() *s3.Error {
		return j.attempt(ctx, op, s, func(ctx context.Context, b *s3.Body) error {
			sum = b.Sum()
			return send(ctx, b)
		})
	})
	return sum, err
}

// attempt reads ahead while it waits for the gate, if there is memory for that, else it
// reads when it is through.
func (j *job) attempt(ctx context.Context, op string, s span, send func(context.Context, *s3.Body) error) *s3.Error {
	b, err := j.readAhead(ctx, s)
	if err != nil {
		return s3.SourceError("read", j.file.Key, err)
	}
	defer func() { b.Free() }()
	release, err := j.gate.Acquire(ctx, j.file.Prefix)
	if err != nil {
		return s3.Classify(op, j.file.Key, err)
	}
	defer release()
	if b == nil {
		if b, err = j.read(ctx, s); err != nil {
			return s3.SourceError("read", j.file.Key, err)
		}
	}
	return j.measured(ctx, op, j.file.Key, j.file.Prefix, payload{s.length, true}, func(ctx context.Context) error {
		return send(ctx, b)
	})
}

// control sends a request without data, as often as it takes.
func (j *job) control(ctx context.Context, op string, send func(context.Context) error) error {
	return j.retrier.Do(ctx, func() *s3.Error {
		release, err := j.gate.Acquire(ctx, j.file.Prefix)
		if err != nil {
			return s3.Classify(op, j.file.Key, err)
		}
		defer release()
		return j.measured(ctx, op, j.file.Key, j.file.Prefix, payload{}, send)
	})
}

// payload says how many bytes a request carries, and whether it is one that carries data.
type payload struct {
	bytes int64
	data  bool
}

// measured sends one request that the gate has let through.
func (u *Uploader) measured(ctx context.Context, op, key, prefix string, p payload, send func(context.Context) error) *s3.Error {
	ctx, t := s3.WithTiming(ctx)
	m := u.meter.begin(prefix)
	err := send(ctx)
	if err == nil {
		m.accepted(p.bytes, t.Service(), p.data)
		u.gate.Accepted(prefix)
		return nil
	}
	e := u.client.Judge(ctx, op, key, err)
	m.refused(e.Class)
	if e.Class == s3.Throttled {
		u.gate.Throttled(prefix)
	}
	return e
}
