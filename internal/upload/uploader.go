package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"cargoship.dev/operator/internal/s3"
)

// File is one file to send.
type File struct {
	// Prefix is the prefix whose window and rate the file's requests are charged to.
	Prefix string
	// Key is the whole object key.
	Key string
	// Size in bytes, as planned.
	Size int64
	// Metadata is stored with the object; names and values are ASCII.
	Metadata map[string]string
	// Sync says whether an existing object may be kept; empty means SyncNone.
	Sync Sync
	// Earlier is the key of the object that Sync may keep, if that is not Key: it is then
	// referred to where it is.
	Earlier string
	// Open opens the file. It may be called several times, never concurrently, and is to
	// fail if the file is no longer the one that it opened before.
	Open func() (SourceFile, error)
	// ResumableUploads are uploads found open at the key. One with parts of the file is
	// resumed; one that is somebody else's is left alone.
	ResumableUploads []s3.OpenUpload
	// MayExist says that an earlier attempt may have stored the file: a large one is looked
	// up first.
	MayExist bool
}

// SourceFile is an open file. Errors that have a method Reason() string give
// the Error its Reason.
type SourceFile interface {
	io.ReaderAt
	io.Closer
	// Unchanged returns nil while size and modification time are those planned.
	Unchanged() error
}

// Receipt describes the stored object.
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
	// Kept says that the object existed and nothing was sent.
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
	kept        keptUploads
	descriptors descriptors
	parted      parted
	hedger      hedger
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
// error says so in LeftOpen. Every error is an *s3.Error.
func (u *Uploader) Upload(ctx context.Context, f File) (Receipt, error) {
	if err := f.validate(); err != nil {
		return Receipt{}, err
	}
	file := &lentFile{lending: u.lend(), ctx: ctx, retrier: u.retrier, key: f.Key, open: f.Open}
	defer file.end()
	if err := file.use(); err != nil {
		return Receipt{}, err
	}
	if file.stays {
		defer file.done()
	} else {
		file.done()
	}
	if f.Sync != "" && f.Sync != SyncNone {
		if receipt, kept, err := u.keep(ctx, f, file); kept || err != nil {
			return receipt, err
		}
	}
	size := f.Size
	if f.Size > wholeLimit {
		size = u.choosePartSize(f.Prefix, f.Size)
	}
	return u.store(ctx, f, func(algorithm string) *object {
		var o struct { // One allocation for both, since there are many small files.
			object
			from fileSource
		}
		o.from = fileSource{bodies: u.bodies(f.Key, algorithm), file: file, size: f.Size, partSize: size}
		o.Uploader, o.file, o.source, o.bodies, o.whole = u, f, &o.from, &o.from.bodies, f.Size <= wholeLimit
		return &o.object
	})
}

// UploadStream sends one object and returns once the server has confirmed all of
// it. On failure nothing of it stays behind, unless the error says so in
// LeftOpen. Every error is an *s3.Error.
func (u *Uploader) UploadStream(ctx context.Context, s Stream) (Receipt, error) {
	f := File{Prefix: s.Prefix, Key: s.Key, Metadata: s.Metadata, ResumableUploads: s.ResumableUploads}
	if err := f.validate(); err != nil {
		return Receipt{}, err
	}
	lent := u.lend()
	defer lent.end()
	defer s.Parts.Close() //nolint:errcheck // Nothing was written to it.
	size := partSize(s.Size)
	return u.store(ctx, f, func(algorithm string) *object {
		source := newStreamSource(u.bodies(f.Key, algorithm), s.Parts, lent, size)
		return &object{Uploader: u, file: f, bodies: &source.bodies, source: source, whole: s.Size <= size}
	})
}

func (u *Uploader) bodies(key, algorithm string) bodies {
	return bodies{memory: u.memory, client: u.client, key: key, algorithm: algorithm}
}

func (f File) validate() error {
	reject := func(reason, why string) error {
		return &s3.Error{Class: s3.Source, Reason: reason, Op: "store", Key: f.Key, Err: errors.New(why)}
	}
	switch {
	case len(f.Key) > maxKeyLength:
		return reject(s3.ReasonKeyTooLong, fmt.Sprintf("the key has %d bytes, of at most %d", len(f.Key), maxKeyLength))
	case !utf8.ValidString(f.Key):
		return reject(s3.ReasonNameNotUTF8, "the key is not UTF-8")
	case f.Size < 0 || f.Size > maxParts*maxPart:
		return reject(s3.ReasonTooLarge, fmt.Sprintf("the file has %d bytes, of at most %d", f.Size, int64(maxParts*maxPart)))
	default:
		return nil
	}
}
