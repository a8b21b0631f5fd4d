package transfer

import (
	"context"
	"errors"
	"net/http"
)

// anyETag is what If-None-Match says for any object at all.
const anyETag = "*"

// standing is the object that a request is to make.
type standing struct {
	key            string
	size           int64
	algorithm, sum string
	// etag is what proves it where no checksum is kept.
	etag func(context.Context) (string, error)
}

// unlessTaken writes an object, and replaces none if there is to be none: write is told
// whether to make that a condition of its request. What stands may be the very object,
// from an attempt to which no answer came; that is as good.
func (c *Client) unlessTaken(ctx context.Context, s standing, write func(onlyNew bool) (etag string, err error)) (string, error) {
	if !c.options.NoOverwrite {
		return write(false)
	}
	if !c.unconditional.Load() {
		etag, err := write(true)
		switch statusOf(err) {
		case http.StatusPreconditionFailed:
			return c.orStands(ctx, s)
		case http.StatusNotImplemented:
			c.unconditional.Store(true)
		default:
			return etag, err
		}
	}
	if err := c.free(ctx, s.key); err != nil {
		if te, ok := errors.AsType[*Error](err); ok && te.Reason == ReasonObjectExists {
			return c.orStands(ctx, s)
		}
		return "", err
	}
	return write(false)
}

// orStands returns the ETag of the object that stands, if it is the one.
func (c *Client) orStands(ctx context.Context, s standing) (etag string, err error) {
	if etag, ok := c.stands(ctx, s); ok {
		return etag, nil
	}
	return "", taken(s.key)
}

// free returns an error if an object stands at the key.
func (c *Client) free(ctx context.Context, key string) error {
	_, err := c.Stat(ctx, key)
	switch {
	case err == nil:
		return taken(key)
	case errors.Is(err, ErrNotFound):
		return nil
	default:
		return err
	}
}

func taken(key string) error {
	return &Error{Class: Source, Reason: ReasonObjectExists, Op: "store", Key: key,
		Err: errors.New("an object stands there that is not to be replaced: choose another prefix, or let it be overwritten")}
}
