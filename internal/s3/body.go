package s3

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"
)

// Section is where the content of a body is read from.
type Section struct {
	Source io.ReaderAt
	// Offset and Length in bytes.
	Offset, Length int64
	// Key is that of the object, for errors.
	Key     string
	Buffers *Buffers
	// Sent counts the bytes that were read to be sent; nil for no one.
	Sent *atomic.Int64
	// Release is called once nobody reads the body any more; nil for no one.
	Release func()
}

// Lender is a source that is a file, from which the kernel can send.
type Lender interface {
	io.ReaderAt
	// Lend returns the file, and what must be called once it is no longer used; nil if there is
	// none, or it can't be opened, of which ReadAt then tells.
	Lend() (file *os.File, giveBack func())
}

// Body is what one request sends, and its checksum. A small one is kept in memory. A
// larger one is read twice, for the checksum and to be sent, in pieces that stay in the
// processor's cache: that is cheaper than to keep it, and leaves it to the page cache. Over plain
// HTTP, the kernel does the second reading where the source is a Lender.
// Should it read otherwise the second time, the server rejects it.
type Body struct {
	Section
	sum CRC
	// content is nil for a body that is read twice.
	content []byte
	// md5 and sha256 are nil until somebody asks for them. A body that is sent twice is asked
	// by two at once, which digests guards.
	digests     sync.Mutex
	md5, sha256 []byte

	// users are the reader of the body, which the transport may be done with only
	// after the answer, and who made it.
	users atomic.Int32
}

const (
	// pieceSize is the size, in bytes, of the largest body that is kept in memory and of
	// the pieces in which larger ones are read.
	pieceSize = 256 << 10
	// writeSize is how much of a body in memory, in bytes, is handed to a connection at once.
	writeSize = 1 << 20
)

// BodyMemory is what a body of some length takes of Buffers, in bytes.
func BodyMemory(length int64) int64 { return bufferSize(min(length, pieceSize)) }

// ReadBody reads a section into a body to be sent, and takes the digests that its request
// needs.
func (c *Client) ReadBody(ctx context.Context, algorithm string, s Section) (*Body, error) {
	return newBody(s).summed(c.sums(algorithm), func(b *Body, t *sums) error { return b.load(ctx, t) })
}

// SumBody reads a section for its checksum alone.
func SumBody(ctx context.Context, algorithm string, s Section) (*Body, error) {
	return newBody(s).summed(&sums{algorithm: algorithm}, func(b *Body, t *sums) error { return b.read(ctx, t) })
}

// ContentBody returns the body of what is in memory already, and takes the digests that its
// request needs. Of the section only Key, Sent and Release count.
func (c *Client) ContentBody(algorithm string, content []byte, s Section) *Body {
	return contentBody(c.sums(algorithm), content, s)
}

// ContentBody is Client.ContentBody without digests.
func ContentBody(algorithm string, content []byte, s Section) *Body {
	return contentBody(&sums{algorithm: algorithm}, content, s)
}

func contentBody(t *sums, content []byte, s Section) *Body {
	b, _ := newBody(s).summed(t, func(b *Body, t *sums) error {
		b.Length, b.content = int64(len(content)), content
		t.all(content)
		return nil
	})
	return b
}

func newBody(s Section) *Body {
	b := &Body{Section: s}
	b.users.Store(1)
	return b
}

// summed takes the sums while the body is read.
func (b *Body) summed(t *sums, read func(*Body, *sums) error) (*Body, error) {
	if err := read(b, t); err != nil {
		b.Free()
		return nil, err
	}
	b.sum, b.sha256, b.md5 = t.sum, digestOf(t.sha256), digestOf(t.md5)
	return b, nil
}

// Sum is the checksum of the body.
func (b *Body) Sum() CRC { return b.sum }

// load reads the body, into a buffer if it is small.
func (b *Body) load(ctx context.Context, t *sums) error {
	if b.Length > pieceSize {
		return b.read(ctx, t)
	}
	buffer, release := b.Buffers.get(b.Length), b.Release
	b.Release = func() {
		b.Buffers.put(buffer)
		if release != nil {
			release()
		}
	}
	b.content = (*buffer)[:b.Length]
	if n, err := b.Source.ReadAt(b.content, b.Offset); int64(n) < b.Length {
		return b.short(int64(n), err)
	}
	t.take(b.content)
	return nil
}

// read reads the body piece by piece and keeps nothing.
func (b *Body) read(ctx context.Context, t *sums) error {
	piece := b.Buffers.get(pieceSize)
	defer b.Buffers.put(piece)
	for done := int64(0); done < b.Length; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := (*piece)[:min(pieceSize, b.Length-done)]
		n, err := b.Source.ReadAt(part, b.Offset+done)
		if n < len(part) {
			return b.short(done+int64(n), err)
		}
		t.take(part)
		done += int64(n)
	}
	return nil
}

// MD5 returns the MD5 of the body, which it reads for that the first time.
func (b *Body) MD5(ctx context.Context) ([]byte, error) {
	b.digests.Lock()
	defer b.digests.Unlock()
	var err error
	if b.md5 == nil {
		b.md5, err = b.digest(ctx, md5.New())
	}
	return b.md5, err
}

// sha256Sum returns the SHA-256 of the body, which it reads for that the first time.
func (b *Body) sha256Sum(ctx context.Context) ([]byte, error) {
	b.digests.Lock()
	defer b.digests.Unlock()
	var err error
	if b.sha256 == nil {
		b.sha256, err = b.digest(ctx, sha256.New())
	}
	return b.sha256, err
}

func (b *Body) digest(ctx context.Context, h hash.Hash) ([]byte, error) {
	r := b.open()
	defer r.Close() //nolint:errcheck // It only frees memory.
	if _, err := io.Copy(h, endingReader{ctx, r}); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// short tells a file that has shrunk from one that cannot be read.
func (b *Body) short(got int64, err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ChangedError{Text: fmt.Sprintf("the file ends at %d, %d bytes early", b.Offset+got, b.Length-got)}
	}
	return err
}

// Free gives the memory back once nobody reads the body any more. A nil body has none.
func (b *Body) Free() {
	if b != nil && b.users.Add(-1) == 0 && b.Release != nil {
		b.Release()
	}
}

// open returns a new reader of the body, which must be closed.
func (b *Body) open() *bodyReader {
	b.users.Add(1)
	return &bodyReader{Body: b}
}

// bodyReader reads a body once.
type bodyReader struct {
	*Body
	done   int64
	closed sync.Once
	// pass is Options.Pass under the context of the request; nil lets everything pass.
	pass func(most int) int
}

// Close implements io.Closer.
func (r *bodyReader) Close() error {
	r.closed.Do(r.Free)
	return nil
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	if r.done == r.Length {
		return 0, io.EOF
	}
	passes := r.passes(min(int64(len(p)), r.Length-r.done))
	if passes == 0 && len(p) > 0 {
		return 0, context.Canceled
	}
	p = p[:passes]
	n := 0
	if r.content != nil {
		n = copy(p, r.content[r.done:])
	} else {
		var err error
		if n, err = r.Source.ReadAt(p, r.Offset+r.done); n < len(p) {
			return n, SourceError("read", r.Key, r.short(r.done+int64(n), err))
		}
	}
	r.took(n)
	return n, nil
}

// passes is how many of so many bytes may be sent now; 0 once the request has ended.
func (r *bodyReader) passes(most int64) int64 {
	if r.pass == nil || most == 0 {
		return most
	}
	return int64(r.pass(int(most)))
}

// took records that bytes were read to be sent.
func (r *bodyReader) took(n int) {
	r.done += int64(n)
	if r.Sent != nil {
		r.Sent.Add(int64(n))
	}
}

// Seek implements io.Seeker.
func (r *bodyReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.done
	case io.SeekEnd:
		offset += r.Length
	}
	if offset < 0 || offset > r.Length {
		return 0, fmt.Errorf("seek to %d in a body of %d bytes", offset, r.Length)
	}
	r.done = offset
	return offset, nil
}

// WriteTo implements io.WriterTo: it writes what is in memory as it is, and the rest in
// pieces.
func (r *bodyReader) WriteTo(w io.Writer) (written int64, err error) {
	var piece *[]byte
	if r.content == nil && r.done < r.Length {
		piece = r.Buffers.get(pieceSize)
		defer r.Buffers.put(piece)
	}
	for r.done < r.Length && err == nil {
		var part []byte
		if r.content != nil {
			most := r.passes(min(r.Length-r.done, writeSize))
			if most == 0 {
				return written, context.Canceled
			}
			part = r.content[r.done : r.done+most]
			r.took(len(part))
		} else {
			part = *piece
			n := 0
			if n, err = r.Read(part); err != nil {
				return written, err
			}
			part = part[:n]
		}
		n := 0
		n, err = w.Write(part)
		written += int64(n)
	}
	return written, err
}

// Buffers keeps buffers of the sizes that bufferSize returns, up to pieceSize. Its
// zero value is ready for use.
type Buffers struct {
	pools [7]sync.Pool
	// Count is told how many bytes are taken and, by a negative number, given back; nil for no
	// one.
	Count func(bytes int64)
}

func (p *Buffers) pool(size int64) *sync.Pool {
	return &p.pools[bits.Len64(uint64(size/leastBuffer))-1]
}

func (p *Buffers) count(bytes int64) {
	if p.Count != nil {
		p.Count(bytes)
	}
}

func (p *Buffers) get(length int64) *[]byte {
	size := bufferSize(length)
	p.count(size)
	if buffer, ok := p.pool(size).Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, size)
	return &buffer
}

func (p *Buffers) put(buffer *[]byte) {
	p.count(-int64(len(*buffer)))
	p.pool(int64(len(*buffer))).Put(buffer)
}

// leastBuffer is the size of the smallest buffer in bytes.
const leastBuffer = 4 << 10

// bufferSize rounds a length up to a power of two from leastBuffer on.
func bufferSize(length int64) int64 {
	size := int64(leastBuffer)
	for size < length {
		size *= 2
	}
	return size
}

// endingReader ends with its context.
type endingReader struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r endingReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
