package upload

import (
	"context"
	"sync/atomic"

	"cargoship.dev/operator/internal/s3"
)

// source is what an object is made of, part by part: a file, or an archive that is made while
// it is sent. Its errors are those of reading. All methods but more are safe for concurrent use.
type source interface {
	// more reports whether there is a part n, counted from 0. Where parts are made in order,
	// it waits for the one before.
	more(ctx context.Context, n int) (bool, error)
	// ahead makes a part before its request may start, if there is memory for it at once,
	// and otherwise returns nil. admitted, unless it is nil, must be called once the request
	// has started or is given up.
	ahead(ctx context.Context, p part) (b *s3.Body, admitted func(), err error)
	// now waits for memory and makes a part.
	now(ctx context.Context, p part) (*s3.Body, error)
	// sum makes a part for its checksum alone.
	sum(ctx context.Context, n int) (*s3.Body, error)
	// recognize returns the part size with which the parts found are of this object, 0 if they
	// are not.
	recognize(ctx context.Context, found storedParts) (partSize int64, err error)
	// cut has parts of a size, one that recognize returned, made from then on.
	cut(partSize int64)
	// unchanged returns nil while the source is the planned one.
	unchanged() error
}

// part is what the body of one request is made of.
type part struct {
	// n is the number of the part, counted from 0.
	n int
	// whole: it is all of the object.
	whole bool
}

// bodies is what bodies are made with, whatever of.
type bodies struct {
	*memory
	client *s3.Client
	// key of the object, and the algorithm of its checksum.
	key, algorithm string
	// sent counts the bytes that were read to be sent; nil for no one.
	sent *atomic.Int64
}
