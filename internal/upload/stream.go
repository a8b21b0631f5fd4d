package upload

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"cargoship.dev/operator/internal/s3"
)

// Stream is an object that is made while it is sent, such as an archive.
type Stream struct {
	// Prefix is the prefix whose window and rate its requests are charged to.
	Prefix string
	// Key is the whole object key.
	Key string
	// Size is about what the object will at most have, in bytes.
	Size int64
	// Metadata is stored with the object; names and values are ASCII.
	Metadata map[string]string
	// Parts makes the object. It is closed in the end.
	Parts Parts
	// ResumableUploads are uploads found open at the key, as in File.
	ResumableUploads []s3.OpenUpload
}

// Parts makes an object part by part.
type Parts interface {
	// Fill makes part n, counted from 0, in buf; it returns the length and whether
	// it is the last. All but the last have at least 5 MiB if buf has 8. Parts are
	// asked for in order the first time, and may be asked for again.
	// An error may be ctx's.
	Fill(ctx context.Context, n int, buf []byte) (length int, last bool, err error)
	// Rest closes the files that are open, until Fill needs them again.
	Rest()
	Close() error
}

// errLonger says that an object sent whole has more parts after all.
var errLonger = errors.New("the object is larger than expected")

// streamSource is an archive whose parts are made in order the first time.
type streamSource struct {
	bodies
	parts Parts
	lent  lending
	// size is that of the buffers, in bytes: what a part may have.
	size int64
	// grown tells that a part was made for the first time.
	grown chan struct{}

	mu sync.Mutex
	// made are the parts that were made at least once.
	made []madePart
}

type madePart struct {
	sum    s3.CRC
	length int64
	last   bool
}

func newStreamSource(b bodies, parts Parts, lent lending, size int64) *streamSource {
	return &streamSource{bodies: b, parts: parts, lent: lent, size: size, grown: make(chan struct{}, 1)}
}

func (s *streamSource) more(ctx context.Context, n int) (bool, error) {
	for n > 0 {
		before, made := s.madeBefore(n - 1)
		switch {
		case made && before.last:
			return false, nil
		case made && n == maxParts:
			return false, fmt.Errorf("the object needs more than %d parts: lower the target size", maxParts)
		case made:
			return true, nil
		}
		select {
		case <-s.grown:
		case <-ctx.Done():
			return false, nil
		}
	}
	return true, nil
}

// madeBefore returns what a part was when it was made first.
func (s *streamSource) madeBefore(n int) (m madePart, made bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n >= len(s.made) {
		return madePart{}, false
	}
	return s.made[n], true
}

// ahead holds the part's share of what may be ready until its request has started.
func (s *streamSource) ahead(ctx context.Context, p part) (*s3.Body, func(), error) {
	ready, cost := min(s.size, readyMemory), s.cost()
	if !s.lent.stays || !s.ready.TryAcquire(ready) {
		return nil, nil, nil
	}
	if !s.memory.ahead.TryAcquire(cost) {
		s.ready.Release(ready)
		return nil, nil, nil
	}
	b, err := s.make(ctx, p, func() { s.memory.ahead.Release(cost) })
	if err != nil {
		s.ready.Release(ready)
		return nil, nil, err
	}
	return b, func() { s.ready.Release(ready) }, nil
}

func (s *streamSource) now(ctx context.Context, p part) (*s3.Body, error) {
	cost := s.cost()
	if err := s.behind.Acquire(ctx, cost); err != nil {
		return nil, err
	}
	return s.make(ctx, p, func() { s.behind.Release(cost) })
}

// cost is what a part takes of one half of the memory, in bytes.
func (s *streamSource) cost() int64 { return min(s.size, s.limit/2) }

func (s *streamSource) sum(ctx context.Context, n int) (*s3.Body, error) {
	return s.now(ctx, part{n: n})
}

// unchanged: a part that is made again must come out the same.
func (s *streamSource) unchanged() error { return nil }

// recognize takes parts for those of the archive if the first is.
func (s *streamSource) recognize(ctx context.Context, found storedParts) (partSize int64, err error) {
	first, err := s.sum(ctx, 0)
	if err != nil {
		return 0, err
	}
	defer first.Free()
	if found.holds(ctx, 1, s.algorithm, first) == "" {
		return 0, nil
	}
	return s.size, nil
}

// cut: there is only one size.
func (s *streamSource) cut(int64) {}

// make makes a part; release is called once the body is freed, or at once on an error.
func (s *streamSource) make(ctx context.Context, p part, release func()) (*s3.Body, error) {
	buffer := s.memory.parts.get(s.size)
	giveBack := func() { s.memory.parts.put(buffer); release() }
	length, last, err := s.fill(ctx, p.n, (*buffer)[:s.size])
	if err != nil {
		giveBack()
		return nil, err
	}
	b := s.client.ContentBody(s.algorithm, (*buffer)[:length], s3.Section{Key: s.key, Sent: s.sent, Release: giveBack})
	err = s.remember(p.n, madePart{sum: b.Sum(), length: b.Length, last: last})
	if err == nil && p.whole && !last {
		err = errLonger
	}
	if err != nil {
		b.Free()
		return nil, err
	}
	return b, nil
}

// fill makes a part in a buffer. Nothing stays open that there is no descriptor for.
func (s *streamSource) fill(ctx context.Context, n int, buffer []byte) (length int, last bool, err error) {
	if err := s.lent.begin(ctx); err != nil {
		return 0, false, err
	}
	defer s.lent.finish()
	if !s.lent.stays {
		defer s.parts.Rest()
	}
	return s.parts.Fill(ctx, n, buffer)
}

// remember makes sure that a part that was made before has come out the same.
func (s *streamSource) remember(n int, m madePart) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == len(s.made) {
		s.made = append(s.made, m)
		notify(s.grown)
		return nil
	}
	if before := s.made[n]; before.sum != m.sum || before.length != m.length {
		return s3.ChangedError{Text: fmt.Sprintf("part %d of the archive differs from what was read first", n+1)}
	}
	return nil
}
