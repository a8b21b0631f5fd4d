package s3

import (
	"context"
	"errors"
	"testing"
	"time"
)

// endless is a file of zeros.
type endless struct{}

func (endless) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// TestReadingEndsWithItsContext reads terabytes, for whatever they are read.
func TestReadingEndsWithItsContext(t *testing.T) {
	s := Section{Source: endless{}, Length: 4 << 40, Buffers: new(Buffers)}
	for name, read := range map[string]func(context.Context) error{
		"to be sent":       func(ctx context.Context) error { _, err := new(Client).ReadBody(ctx, ChecksumCRC32C, s); return err },
		"for its checksum": func(ctx context.Context) error { _, err := SumBody(ctx, ChecksumCRC64NVME, s); return err },
		"for its MD5":      func(ctx context.Context) error { _, err := newBody(s).MD5(ctx); return err },
		"to be signed":     func(ctx context.Context) error { _, err := newBody(s).sha256Sum(ctx); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		begun := time.Now()
		err := read(ctx)
		cancel()
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > 10*time.Second {
			t.Errorf("%s: ended after %v with %v", name, took, err)
		}
	}
}
