package upload

import (
	"context"

	"cargoship.dev/operator/internal/s3"
)

// span is a run of bytes of a file.
type span struct{ offset, length int64 }

// readAhead reads a span if there is memory for it, else it returns nil.
func (j *job) readAhead(ctx context.Context, s span) (*s3.Body, error) {
	cost := max(s.length, s3.BodyMemory(s.length))
	if !j.memory.ahead.TryAcquire(cost) {
		return nil, nil
	}
	return j.load(ctx, s, func() { j.memory.ahead.Release(cost) })
}

// read waits for memory and reads a span.
func (j *job) read(ctx context.Context, s span) (*s3.Body, error) {
	cost := s3.BodyMemory(s.length)
	if err := j.memory.behind.Acquire(ctx, cost); err != nil {
		return nil, err
	}
	return j.load(ctx, s, func() { j.memory.behind.Release(cost) })
}

// load reads a span and makes sure that the file was still the planned one afterwards;
// release is called once the body is freed, or at once on an error.
func (j *job) load(ctx context.Context, s span, release func()) (*s3.Body, error) {
	section := j.section(s)
	section.Release = release
	if j.spread != nil {
		section.Sent = &j.spread.sent
	}
	b, err := s3.ReadBody(ctx, j.algorithm, section)
	if err != nil {
		return nil, err
	}
	err = j.client.Digest(ctx, b)
	if err == nil {
		err = j.source.Unchanged()
	}
	if err != nil {
		b.Free()
		return nil, err
	}
	return b, nil
}

// section is where a span is read from.
func (j *job) section(s span) s3.Section {
	return s3.Section{Source: j.source, Offset: s.offset, Length: s.length, Key: j.file.Key, Buffers: &j.memory.buffers}
}
