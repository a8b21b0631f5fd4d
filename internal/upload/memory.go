package upload

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"cargoship.dev/operator/internal/s3"
)

const (
	defaultMemory = 512 << 20
	leastMemory   = 16 << 20
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
	buffers s3.Buffers
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
	m.buffers.Count, m.parts.use = use.count, use
	return m
}

// usage counts the bytes of buffers in use.
type usage struct {
	held atomic.Int64
	// told is called with the maximum so far, rounded up to usageStep; it may be nil.
	told func(most int64)

	mu   sync.Mutex
	most atomic.Int64
}

// usageStep is by how much the maximum must rise, in bytes, before told is called.
const usageStep = 4 << 20

// count takes in that n more bytes are in use; fewer if it is negative.
func (u *usage) count(n int64) {
	held := u.held.Add(n)
	if n < 0 || held <= u.most.Load() {
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
	p.use.count(int64(len(*buffer)))
	return buffer
}

func (p *partPool) put(buffer *[]byte) {
	p.use.count(-int64(len(*buffer)))
	p.pool.Put(buffer)
}
