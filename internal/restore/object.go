package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

const (
	// rangeSize is what one request reads of a large object, in bytes.
	rangeSize = 8 << 20
	// maxRanges bounds the ranges of an object, whatever size a manifest says that it has: those of
	// one larger than 512 GiB are longer.
	maxRanges = 64 << 10
	// rangeBuffer is what is read before it is written, in bytes.
	rangeBuffer = 256 << 10
)

// slots bound how many requests for content are under way at a time.
type slots chan struct{}

// acquire waits for a slot, and returns what frees it.
func (s slots) acquire(ctx context.Context) (release func(), err error) {
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// rangeBuffers are reused.
var rangeBuffers = sync.Pool{New: func() any { return new([rangeBuffer]byte) }} //nolint:gochecknoglobals // a cache

// fetchObject reads an object that is one file by several ranges at a time, and compares its
// checksum, which is put together from theirs, unless that is one of parts.
func fetchObject(ctx context.Context, b Bucket, free slots, m archive.Member, to io.WriterAt) error {
	size, algorithm := max(rangeSize, m.Size/maxRanges+1), m.ChecksumAlgorithm
	switch {
	case strings.Contains(m.Checksum, "-") || s3.Checksum(algorithm) == nil:
		algorithm = ""
	case algorithm != s3.ChecksumCRC64NVME:
		size = max(m.Size, 1) // Checksums of ranges would not make that of the whole.
	}
	parts := make([]s3.Part, max(1, m.Size/size+min(1, m.Size%size)))
	group, working := errgroup.WithContext(ctx)
	for i := range parts {
		release, err := free.acquire(working)
		if err != nil {
			group.Go(func() error { return err }) // Unless there is a reason already.
			break
		}
		group.Go(func() (err error) {
			defer release()
			at := int64(i) * size
			parts[i], err = fetchRange(working, b, m, algorithm, at, min(size, m.Size-at), to)
			return err
		})
	}
	if err := group.Wait(); err != nil || algorithm == "" {
		return err
	}
	got := parts[0].Sum.Encode(algorithm)
	if len(parts) > 1 {
		got = s3.ObjectChecksum(algorithm, parts)
	}
	if got != m.Checksum {
		return damaged{fmt.Errorf("checksum of %s is %s, the manifest has %s", m.Key, got, m.Checksum)}
	}
	return nil
}

// fetchRange reads length bytes of an object, begun again where a read breaks off, and returns
// their checksum.
func fetchRange(ctx context.Context, b Bucket, m archive.Member, algorithm string, offset, length int64, to io.WriterAt) (s3.Part, error) {
	part := s3.Part{}
	for attempt := 1; part.Length < length; attempt++ {
		before := part.Length
		err := copyRange(ctx, b, m, algorithm, offset, length, &part, to)
		if err == nil {
			continue
		}
		if part.Length > before {
			attempt = 1
		}
		if attempt == fetchAttempts || ctx.Err() != nil || !errors.As(err, new(readError)) {
			return part, err
		}
		pause(ctx, attempt)
	}
	return part, nil
}

// copyRange reads what a part lacks with one request.
func copyRange(ctx context.Context, b Bucket, m archive.Member, algorithm string, offset, length int64, part *s3.Part, to io.WriterAt) error {
	body, err := b.OpenRange(ctx, m.Key, m.ETag, offset+part.Length, length-part.Length)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	buffer := rangeBuffers.Get().(*[rangeBuffer]byte)
	defer rangeBuffers.Put(buffer)
	for part.Length < length {
		n, err := io.ReadFull(connection{body}, buffer[:min(rangeBuffer, length-part.Length)])
		if n > 0 {
			if algorithm != "" {
				part.Sum = part.Sum.Update(algorithm, buffer[:n])
			}
			if _, err := to.WriteAt(buffer[:n], offset+part.Length); err != nil {
				return err
			}
			part.Length += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return readError{io.ErrUnexpectedEOF}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// damaged says that what was read is not what was archived.
type damaged struct{ error }

// twice looks once more at what seems damaged: it may have been on the way only.
func twice(look func() error) error {
	err := look()
	if errors.As(err, new(damaged)) {
		return look()
	}
	return err
}

// discard is an io.WriterAt that keeps nothing.
type discard struct{}

// WriteAt implements io.WriterAt.
func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
