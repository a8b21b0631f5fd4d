package restore

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"cargoship.dev/operator/internal/archive"
)

const (
	// fetchAttempts is how often a read that breaks off is begun again without
	// having come any further.
	fetchAttempts = 6
	fetchPause    = 200 * time.Millisecond
)

// visitor takes a member as it is in the tar. It needn't read its content.
type visitor func(m archive.Member, h *tar.Header, c content) error

// fetch reads the members of a run one after the other. A read that breaks off is
// begun again at the member it came to. A member that is not as it should be is
// looked at once more, since it may have been damaged on the way only.
func fetch(ctx context.Context, b Bucket, r run, visit visitor) error {
	doubted := false
	for attempt := 1; len(r.members) > 0; attempt++ {
		done, err := fetchOnce(ctx, b, r, visit)
		r.members = r.members[done:]
		if err == nil {
			return nil
		}
		if done > 0 {
			attempt, doubted = 1, false
		}
		broken, damaged := errors.As(err, new(readError)), scopeOf(ctx, err) == ofMember && !errors.As(err, new(local))
		if attempt == fetchAttempts || ctx.Err() != nil || !broken && (doubted || !damaged) {
			return err
		}
		doubted = doubted || !broken
		pause(ctx, attempt)
	}
	return nil
}

// pause waits before a read is begun again; it is false if ctx ends.
func pause(ctx context.Context, attempt int) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(fetchPause << attempt):
		return true
	}
}

// readError is trouble with the connection rather than with what it brought.
type readError struct{ error }

// Unwrap lets errors.Is find the cause.
func (e readError) Unwrap() error { return e.error }

// connection marks the errors of a body.
type connection struct{ body io.ReadCloser }

// Read implements io.Reader.
func (c connection) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = readError{err}
	}
	return n, err
}

// fetchOnce reads members with one request and returns how many it has done.
func fetchOnce(ctx context.Context, b Bucket, r run, visit visitor) (done int, err error) {
	first, last := r.members[0].Tar.Frame, r.members[len(r.members)-1].Tar.Frame
	length := last.Offset + last.Length - first.Offset
	body, err := b.OpenRange(ctx, r.object.Key, r.object.ETag, first.Offset, length)
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	raw, closeRaw, err := expanded(connection{body}, r.object.Compression)
	if err != nil {
		return 0, err
	}
	defer closeRaw()
	// Little that was read may expand to much.
	raw = endingReader{ctx, raw}
	at := first.TarOffset
	for _, m := range r.members {
		if _, err := io.CopyN(io.Discard, raw, m.Tar.Offset-at); err != nil {
			return done, fmt.Errorf("%s: find member %q: %w", r.object.Key, m.Path, truncated(err))
		}
		part := &io.LimitedReader{R: raw, N: m.Tar.Length}
		if err := open(m, part, visit); err != nil {
			return done, fmt.Errorf("%s: member %q: %w", r.object.Key, m.Path, truncated(err))
		}
		done++
		if _, err := io.Copy(io.Discard, part); err != nil {
			return done, fmt.Errorf("%s: skip member %q: %w", r.object.Key, m.Path, err)
		}
		at = m.Tar.Offset + m.Tar.Length
	}
	return done, nil
}

// truncated names the end of the data where a member should be.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the archive is truncated: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// maxWindow bounds the memory of a zstd decoder, in bytes. Frames hold no more than
// archive.FrameSize.
const maxWindow = 8 << 20

// expanded returns the tar in the frames of an object.
func expanded(r io.Reader, c archive.Compression) (io.Reader, func(), error) {
	if c != archive.Zstd {
		return r, func() {}, nil
	}
	d, ok := decoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("start zstd decoder: %w", err)
		}
	}
	if err := d.Reset(r); err != nil {
		return nil, nil, fmt.Errorf("start zstd decoder: %w", err)
	}
	return d, func() {
		if d.Reset(nil) == nil { // It keeps no reader.
			decoders.Put(d)
		}
	}, nil
}

// decoders are reused. With a concurrency of 1 none has a goroutine that would have to end.
var decoders sync.Pool //nolint:gochecknoglobals // a cache

// maxHead bounds what comes before the content of a member, in bytes: an extended header and a list
// of extents, of each of which archive/tar reads 1 MiB at most. It reads any number of headers.
const maxHead = 3 << 20

// open checks that what is there is the member.
func open(m archive.Member, raw io.Reader, visit visitor) error {
	var head bytes.Buffer
	sparse := m.Tar.Sparse && m.Kind == archive.File
	headers := &io.LimitedReader{R: raw, N: maxHead}
	from := io.Reader(headers)
	if sparse {
		from = io.TeeReader(headers, &head)
	}
	r := tar.NewReader(from)
	h, err := r.Next()
	if err != nil && headers.N == 0 {
		return fmt.Errorf("its headers exceed %d bytes", maxHead)
	}
	if err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	headers.N = math.MaxInt64 // The content follows.
	want := m.Path
	if m.Kind == archive.File && m.Link != "" {
		want = m.Link
	}
	if name := strings.TrimSuffix(h.Name, "/"); name != want {
		return fmt.Errorf("the archive has %q at its offset", name)
	}
	if m.Kind == archive.File && h.Size != m.Size {
		return fmt.Errorf("it has %d bytes, the manifest has %d", h.Size, m.Size)
	}
	if !sparse {
		return visit(m, h, content{stored: r, size: h.Size})
	}
	// The reader would give the holes as zeros; what it has yet to read is the content without them.
	extents, err := archive.ParseExtents(head.Bytes(), h.Size)
	if err != nil {
		return err
	}
	return visit(m, h, content{raw, extents, h.Size})
}
