package upload

import (
	"context"

	"cargoship.dev/operator/internal/s3"
)

// fileSource is a file whose parts can be read at any time.
type fileSource struct {
	bodies
	file *lentFile
	// size of the file and of all parts but the last, in bytes.
	size, partSize int64
}

func (f *fileSource) more(_ context.Context, n int) (bool, error) {
	return int64(n)*f.partSize < f.size, nil
}

// section is where a part is read from.
func (f *fileSource) section(p part) s3.Section {
	s := s3.Section{Source: f.file, Length: f.size, Key: f.key, Buffers: &f.buffers, Sent: f.sent}
	if !p.whole {
		s.Offset = int64(p.n) * f.partSize
		s.Length = min(f.partSize, f.size-s.Offset)
	}
	return s
}

func (f *fileSource) ahead(ctx context.Context, p part) (*s3.Body, func(), error) {
	if !f.file.stays {
		return nil, nil, nil
	}
	s := f.section(p)
	cost := max(s.Length, s3.BodyMemory(s.Length))
	if !f.memory.ahead.TryAcquire(cost) {
		return nil, nil, nil
	}
	s.Release = func() { f.memory.ahead.Release(cost) }
	b, err := f.read(ctx, s)
	return b, nil, err
}

func (f *fileSource) now(ctx context.Context, p part) (*s3.Body, error) {
	s := f.section(p)
	cost := s3.BodyMemory(s.Length)
	if err := f.behind.Acquire(ctx, cost); err != nil {
		return nil, err
	}
	s.Release = func() { f.behind.Release(cost) }
	return f.read(ctx, s)
}

// read reads a section and makes sure that the file was still the planned one afterwards.
func (f *fileSource) read(ctx context.Context, s s3.Section) (*s3.Body, error) {
	if err := f.file.use(); err != nil {
		s.Release()
		return nil, err
	}
	free := s.Release
	s.Release = func() { f.file.done(); free() }
	b, err := f.client.ReadBody(ctx, f.algorithm, s)
	if err != nil {
		return nil, err
	}
	if err := f.file.unchanged(); err != nil {
		b.Free()
		return nil, err
	}
	return b, nil
}

func (f *fileSource) sum(ctx context.Context, n int) (*s3.Body, error) {
	if err := f.file.use(); err != nil {
		return nil, err
	}
	defer f.file.done()
	s := f.section(part{n: n})
	s.Sent = nil
	return s3.SumBody(ctx, f.algorithm, s)
}

func (f *fileSource) unchanged() error { return f.file.unchanged() }

// recognize takes parts for those of the file if they lie as with its own part size or with
// the largest of their lengths, and the first or the last holds what the file holds there.
func (f *fileSource) recognize(ctx context.Context, found storedParts) (partSize int64, err error) {
	var largest int64
	for _, p := range found.Parts {
		largest = max(largest, p.Bytes)
	}
	for _, size := range []int64{f.partSize, largest} {
		if size < max(leastPart, (f.size+maxParts-1)/maxParts) || !found.fits(f.size, size) {
			continue
		}
		if known, err := f.inPartsOf(size).holdsAny(ctx, found); !known {
			return 0, err
		}
		return size, nil
	}
	return 0, nil
}

func (f *fileSource) cut(partSize int64) { f.partSize = partSize }

// inPartsOf returns the file in parts of another size.
func (f *fileSource) inPartsOf(partSize int64) *fileSource {
	other := *f
	other.cut(partSize)
	return &other
}

// holdsAny reports whether the first or the last stored part is one of the file.
func (f *fileSource) holdsAny(ctx context.Context, found storedParts) (bool, error) {
	first, last := int32(maxParts), int32(1)
	for number := range found.Parts {
		first, last = min(first, number), max(last, number)
	}
	for _, number := range []int32{first, last} {
		b, err := f.sum(ctx, int(number-1))
		if err != nil {
			return false, err
		}
		if found.holds(ctx, number, f.algorithm, b) != "" {
			return true, nil
		}
	}
	return false, nil
}
