package restore

import (
	"context"
	"io"

	"cargoship.dev/operator/internal/archive"
)

// sink takes the content of a file from its beginning on.
type sink interface {
	io.Writer
	// Hole takes n zeros that nothing was stored for.
	Hole(ctx context.Context, n int64) error
}

// content is that of a member of a tar.
type content struct {
	// stored gives what the tar holds of it.
	stored io.Reader
	// extents are where that lies in the file; nil if it has no holes.
	extents []archive.Extent
	size    int64
}

// copyTo reads the content once; that takes as long as the tar holds of it.
func (c content) copyTo(ctx context.Context, to sink) error {
	buffer := rangeBuffers.Get().(*[rangeBuffer]byte)
	defer rangeBuffers.Put(buffer)
	if c.extents == nil {
		_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{c.stored}, buffer[:])
		return err
	}
	at := int64(0)
	for _, x := range c.extents {
		if err := to.Hole(ctx, x.Offset-at); err != nil {
			return err
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{to}, io.LimitReader(c.stored, x.Length), buffer[:])
		if err == nil && n < x.Length {
			err = io.EOF
		}
		if err != nil {
			return truncated(err)
		}
		at = x.Offset + x.Length
	}
	return to.Hole(ctx, c.size-at)
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
