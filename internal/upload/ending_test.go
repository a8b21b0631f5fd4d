package upload

import (
	"context"
	"errors"
	"testing"
	"time"

	"cargoship.dev/operator/internal/s3"
)

// endless is a file of zeros as large as asked for.
type endless struct{}

func (endless) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
func (endless) Unchanged() error                      { return nil }
func (endless) Close() error                          { return nil }

// TestReadingEndsWithItsContext reads terabytes, for whatever they are read.
func TestReadingEndsWithItsContext(t *testing.T) {
	const size = 4 << 40
	algorithm := s3.ChecksumCRC64NVME
	u := &Uploader{client: new(s3.Client), memory: newMemory(0, nil)}
	f := &fileSource{bodies: u.bodies("huge", algorithm), file: &lentFile{file: endless{}, uses: 1}, size: size, partSize: size}
	for name, read := range map[string]func(context.Context) error{
		"for a part":       func(ctx context.Context) error { _, err := f.now(ctx, part{}); return err },
		"for its checksum": func(ctx context.Context) error { _, err := f.sum(ctx, 0); return err },
		"to compare it": func(ctx context.Context) error {
			_, err := f.sameContent(ctx, Receipt{Checksum: "AAAAAAAAAAA=", ChecksumAlgorithm: algorithm})
			return err
		},
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
