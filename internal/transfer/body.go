package transfer

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// span is a run of bytes of a file.
type span struct{ offset, length int64 }

// body is what one request sends, and its checksum. A small one is kept in memory. A
// larger one is read twice, for the checksum and to be sent, in pieces that stay in the
// processor's cache: that is cheaper than to keep it, and leaves it to the page cache.
// Should it read otherwise the second time, the server refuses it.
type body struct {
	length int64
	sum    crc
	// content is nil for a body that is read twice.
	content []byte
	source  io.ReaderAt
	offset  int64
	key     string
	buffers *bufferPool
	// sent counts the bytes that were read to be sent; nil for no one.
	sent *atomic.Int64
	// md5 and sha256 are nil until somebody asks for them.
	md5, sha256 []byte

	// users are the reader of the body, which the transport may be done with only
	// after the answer, and who made it.
	users   atomic.Int32
	release func()
}

const (
	defaultMemory = 512 << 20
	leastMemory   = 16 << 20
	// pieceSize is the size, in bytes, of the largest body that is kept in memory and of
	// the pieces in which larger ones are read.
	pieceSize = 256 << 10
	// writeSize is how much of a body in memory, in bytes, is handed to a connection at once.
	writeSize = 1 << 20
	// readyMemory is how much of streams, in bytes, is made before its turn to be sent: as
	// much as is sent while more is made.
	readyMemory = 32 << 20
	// requestMemory is what a request in flight may take, in bytes: two pieces, and what
	// the kernel has yet to send.
	requestMemory = 2 << 20
)

// memory bounds the bytes that bodies take, in the page cache as well. One half is for
// bodies read ahead of the gate, and only for those that find room at once; the other is
// for requests that are through. So requests that wait at a closed gate cannot starve
// the others.
type memory struct {
	limit         int64
	ahead, behind *semaphore.Weighted
	// ready bounds the parts of streams that are made and not yet through the gate.
	ready   *semaphore.Weighted
	buffers bufferPool
	parts   partPool
}

func newMemory(limit int64, taken func(most int64)) *memory {
	if limit == 0 {
		limit = defaultMemory
	}
	limit = max(limit, leastMemory)
	m := &memory{
		limit: limit,
		ahead: semaphore.NewWeighted(limit / 2), behind: semaphore.NewWeighted(limit / 2),
		ready: semaphore.NewWeighted(readyMemory),
	}
	use := &usage{told: taken}
	m.buffers.use, m.parts.use = use, use
	return m
}

// usage counts the bytes of buffers in use. A nil one counts nothing.
type usage struct {
	held atomic.Int64
	// told is called with the most there were at once, rounded up to usageStep; nil for no one.
	told func(most int64)

	mu   sync.Mutex
	most atomic.Int64
}

// usageStep is how much more bodies must take, in bytes, before anybody hears of it.
const usageStep = 4 << 20

func (u *usage) take(n int64) {
	if u == nil {
		return
	}
	held := u.held.Add(n)
	if held <= u.most.Load() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if held <= u.most.Load() {
		return
	}
	u.most.Store((held + usageStep - 1) / usageStep * usageStep)
	if u.told != nil {
		u.told(u.most.Load())
	}
}

func (u *usage) give(n int64) {
	if u != nil {
		u.held.Add(-n)
	}
}

// readAhead reads a span if there is memory for it, else it returns nil.
func (j *job) readAhead(ctx context.Context, s span) (*body, error) {
	cost := max(s.length, bufferSize(min(s.length, pieceSize)))
	if !j.memory.ahead.TryAcquire(cost) {
		return nil, nil
	}
	return j.load(ctx, s, func() { j.memory.ahead.Release(cost) })
}

// read waits for memory and reads a span.
func (j *job) read(ctx context.Context, s span) (*body, error) {
	cost := bufferSize(min(s.length, pieceSize))
	if err := j.memory.behind.Acquire(ctx, cost); err != nil {
		return nil, err
	}
	return j.load(ctx, s, func() { j.memory.behind.Release(cost) })
}

// load reads a span and makes sure that the file was still the planned one afterwards;
// release is called once the body is freed, or at once on an error.
func (j *job) load(ctx context.Context, s span, release func()) (*body, error) {
	b := &body{length: s.length, source: j.source, offset: s.offset, key: j.file.Key, buffers: &j.memory.buffers, release: release}
	if j.spread != nil {
		b.sent = &j.spread.sent
	}
	b.users.Store(1)
	err := b.load(ctx, j.algorithm)
	if err == nil {
		err = j.client.digest(ctx, b)
	}
	if err == nil {
		err = j.source.Unchanged()
	}
	if err != nil {
		b.free()
		return nil, err
	}
	return b, nil
}

// bodyOf returns the body of what is in memory already.
func bodyOf(algorithm string, content []byte) *body {
	b := &body{length: int64(len(content)), content: content, sum: checksumBytes(algorithm, content), release: func() {}}
	b.users.Store(1)
	return b
}

// load reads the body into a buffer if it is small, and takes its checksum.
func (b *body) load(ctx context.Context, algorithm string) error {
	if b.length > pieceSize {
		var err error
		b.sum, err = b.checksum(ctx, algorithm)
		return err
	}
	buffer, release := b.buffers.get(b.length), b.release
	b.release = func() { b.buffers.put(buffer); release() }
	b.content = (*buffer)[:b.length]
	if n, err := b.source.ReadAt(b.content, b.offset); int64(n) < b.length {
		return b.short(int64(n), err)
	}
	b.sum = checksumBytes(algorithm, b.content)
	return nil
}

func (b *body) checksum(ctx context.Context, algorithm string) (crc, error) {
	piece := b.buffers.get(pieceSize)
	defer b.buffers.put(piece)
	var sum crc
	for done := int64(0); done < b.length; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		part := (*piece)[:min(pieceSize, b.length-done)]
		n, err := b.source.ReadAt(part, b.offset+done)
		if n < len(part) {
			return 0, b.short(done+int64(n), err)
		}
		sum = sum.update(algorithm, part)
		done += int64(n)
	}
	return sum, nil
}

// md5Sum returns the MD5 of the body, which it reads for that the first time.
func (b *body) md5Sum(ctx context.Context) ([]byte, error) {
	var err error
	if b.md5 == nil {
		b.md5, err = b.digest(ctx, md5.New())
	}
	return b.md5, err
}

// sha256Sum returns the SHA-256 of the body, which it reads for that the first time.
func (b *body) sha256Sum(ctx context.Context) ([]byte, error) {
	var err error
	if b.sha256 == nil {
		b.sha256, err = b.digest(ctx, sha256.New())
	}
	return b.sha256, err
}

func (b *body) digest(ctx context.Context, h hash.Hash) ([]byte, error) {
	r := b.open()
	defer r.Close() //nolint:errcheck // It only frees memory.
	if _, err := io.Copy(h, endingReader{ctx, r}); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// short tells a file that has shrunk from one that cannot be read.
func (b *body) short(got int64, err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return changedError{fmt.Sprintf("the file ends at %d, %d bytes early", b.offset+got, b.length-got)}
	}
	return err
}

// free gives the memory back once nobody reads the body any more. A nil body has none.
func (b *body) free() {
	if b != nil && b.users.Add(-1) == 0 {
		b.release()
	}
}

// open returns a new reader of the body, which must be closed.
func (b *body) open() *bodyReader {
	b.users.Add(1)
	return &bodyReader{body: b}
}

// bodyReader reads a body once.
type bodyReader struct {
	*body
	done   int64
	closed sync.Once
}

// Close implements io.Closer.
func (r *bodyReader) Close() error {
	r.closed.Do(r.free)
	return nil
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	if r.done == r.length {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.length-r.done)]
	n := 0
	if r.content != nil {
		n = copy(p, r.content[r.done:])
	} else {
		var err error
		if n, err = r.source.ReadAt(p, r.offset+r.done); n < len(p) {
			return n, sourceError("read", r.key, r.short(r.done+int64(n), err))
		}
	}
	r.took(n)
	return n, nil
}

// took takes down that bytes were read to be sent.
func (r *bodyReader) took(n int) {
	r.done += int64(n)
	if r.sent != nil {
		r.sent.Add(int64(n))
	}
}

// Seek implements io.Seeker.
func (r *bodyReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.done
	case io.SeekEnd:
		offset += r.length
	}
	if offset < 0 || offset > r.length {
		return 0, fmt.Errorf("seek to %d in a body of %d bytes", offset, r.length)
	}
	r.done = offset
	return offset, nil
}

// WriteTo implements io.WriterTo: it writes what is in memory as it is, and the rest in
// pieces.
func (r *bodyReader) WriteTo(w io.Writer) (written int64, err error) {
	var piece *[]byte
	if r.content == nil && r.length > 0 {
		piece = r.buffers.get(pieceSize)
		defer r.buffers.put(piece)
	}
	for r.done < r.length && err == nil {
		var part []byte
		if r.content != nil {
			part = r.content[r.done:min(r.length, r.done+writeSize)]
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

// changedError says that a file is not the planned one any more.
type changedError struct{ text string }

func (e changedError) Error() string { return e.text }

// Reason is the verdict on the file.
func (e changedError) Reason() string { return ReasonChanged }

// bufferPool keeps buffers of the sizes that bufferSize returns, up to pieceSize. Its
// zero value is ready for use.
type bufferPool struct {
	pools [7]sync.Pool
	use   *usage
}

func (p *bufferPool) pool(size int64) *sync.Pool {
	return &p.pools[bits.Len64(uint64(size/leastBuffer))-1]
}

func (p *bufferPool) get(length int64) *[]byte {
	size := bufferSize(length)
	p.use.take(size)
	if buffer, ok := p.pool(size).Get().(*[]byte); ok {
		return buffer
	}
	buffer := make([]byte, size)
	return &buffer
}

func (p *bufferPool) put(buffer *[]byte) {
	p.use.give(int64(len(*buffer)))
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
