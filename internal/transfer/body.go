package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
)

// span is a run of bytes of a file.
type span struct{ offset, length int64 }

// body is what one request sends, and its checksum.
type body struct {
	reader io.ReadSeeker
	sum    crc
	// free returns the memory.
	free func()
}

const (
	defaultMemory = 512 << 20
	leastMemory   = 16 << 20
	// largestBuffer is the largest body kept in memory, in bytes. Larger ones are
	// read twice, for the checksum and to be sent.
	largestBuffer = 64 << 20
	// streamMemory is what a body that is read twice is charged for.
	streamMemory = 256 << 10
)

// memory bounds the bytes that bodies take. One half is for bodies read ahead of the
// gate, and only for those that find room at once; the other is for requests that
// are through. So requests that wait at a closed gate cannot starve the others.
type memory struct {
	limit int64
	// largest is the largest buffer, in bytes.
	largest       int64
	ahead, behind *semaphore.Weighted
	buffers       bufferPool
}

func newMemory(limit int64) *memory {
	if limit == 0 {
		limit = defaultMemory
	}
	limit = max(limit, leastMemory)
	return &memory{
		limit: limit, largest: min(limit/2, largestBuffer),
		ahead: semaphore.NewWeighted(limit / 2), behind: semaphore.NewWeighted(limit / 2),
	}
}

// cost is what the body of a span is charged for, and streamed whether it is read twice
// rather than kept.
func (m *memory) cost(s span) (bytes int64, streamed bool) {
	if size := bufferSize(s.length); size <= m.largest {
		return size, false
	}
	return streamMemory, true
}

// readAhead reads a span if there is memory for it; ahead tells whether there was.
func (j *job) readAhead(s span) (b body, ahead bool, err error) {
	cost, _ := j.memory.cost(s)
	if !j.memory.ahead.TryAcquire(cost) {
		return body{free: func() {}}, false, nil
	}
	b, err = j.load(s, func() { j.memory.ahead.Release(cost) })
	return b, true, err
}

// read waits for memory and reads a span.
func (j *job) read(ctx context.Context, s span) (body, error) {
	cost, _ := j.memory.cost(s)
	if err := j.memory.behind.Acquire(ctx, cost); err != nil {
		return body{}, err
	}
	return j.load(s, func() { j.memory.behind.Release(cost) })
}

// load reads a span and makes sure that the file was still the planned one afterwards;
// release is called once the body is freed, or at once on an error.
func (j *job) load(s span, release func()) (body, error) {
	load := j.buffer
	if _, streamed := j.memory.cost(s); streamed {
		load = j.stream
	}
	b, err := load(s, release)
	if err == nil {
		err = j.source.Unchanged()
	}
	if err != nil {
		b.free()
		return body{}, err
	}
	return b, nil
}

// buffer reads a span into memory.
func (j *job) buffer(s span, release func()) (body, error) {
	buffer := j.memory.buffers.get(s.length)
	b := body{free: func() { j.memory.buffers.put(buffer); release() }}
	content := (*buffer)[:s.length]
	if n, err := j.source.ReadAt(content, s.offset); int64(n) < s.length {
		return b, shortRead(s, int64(n), err)
	}
	b.sum = checksumBytes(j.algorithm, content)
	b.reader = bytes.NewReader(content)
	return b, nil
}

// stream reads a span for its checksum only. If it reads otherwise the second time, the
// server refuses it.
func (j *job) stream(s span, release func()) (body, error) {
	b := body{free: release, reader: sourceReader{io.NewSectionReader(j.source, s.offset, s.length), j.file.Key}}
	sum, n, err := checksumReader(j.algorithm, io.NewSectionReader(j.source, s.offset, s.length))
	if err != nil || n < s.length {
		return b, shortRead(s, n, err)
	}
	b.sum = sum
	return b, nil
}

// sourceReader marks its errors as the source's, for the HTTP client passes them on
// like its own.
type sourceReader struct {
	*io.SectionReader
	key string
}

// Read implements io.Reader.
func (r sourceReader) Read(p []byte) (int, error) {
	n, err := r.SectionReader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = sourceError("read", r.key, err)
	}
	return n, err
}

// changedError says that a file is not the planned one any more.
type changedError struct{ text string }

func (e changedError) Error() string { return e.text }

// Reason is the verdict on the file.
func (e changedError) Reason() string { return ReasonChanged }

// shortRead tells a file that has shrunk from one that cannot be read.
func shortRead(s span, got int64, err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return changedError{fmt.Sprintf("the file ends at %d, %d bytes early", s.offset+got, s.length-got)}
	}
	return err
}

// bufferPool keeps buffers by size. Its zero value is ready for use.
type bufferPool struct {
	mu    sync.Mutex
	pools map[int64]*sync.Pool
}

func (p *bufferPool) pool(size int64) *sync.Pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pools == nil {
		p.pools = map[int64]*sync.Pool{}
	}
	if p.pools[size] == nil {
		p.pools[size] = &sync.Pool{New: func() any { b := make([]byte, size); return &b }}
	}
	return p.pools[size]
}

func (p *bufferPool) get(length int64) *[]byte {
	return p.pool(bufferSize(length)).Get().(*[]byte)
}

func (p *bufferPool) put(buffer *[]byte) { p.pool(int64(len(*buffer))).Put(buffer) }

// bufferSize rounds up to a power of two from 4 KiB to 1 MiB, and to a multiple of
// 1 MiB beyond, which part sizes are: at most 72 sizes.
func bufferSize(length int64) int64 {
	const mebi = 1 << 20
	if length > mebi {
		return (length + mebi - 1) / mebi * mebi
	}
	size := int64(4 << 10)
	for size < length {
		size *= 2
	}
	return size
}
