package s3

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
//
// Some servers take no notice of the condition. Until this one is known to, it is asked
// first as well.
func (c *Client) unlessTaken(ctx context.Context, s standing, write func(onlyNew bool) (etag string, err error)) (string, error) {
	if !c.options.NoOverwrite {
		return write(false)
	}
	if !c.conditional.Load() {
		err := c.vacant(ctx, s.key)
		te, known := errors.AsType[*Error](err)
		switch {
		case known && te.Reason == ReasonObjectExists:
			return c.orStands(ctx, s)
		case known && te.Class == Permission && !c.unconditional.Load():
			// Who may not look relies on the condition.
		case err != nil:
			return "", err
		}
	}
	if !c.unconditional.Load() {
		etag, err := write(true)
		switch Status(err) {
		case http.StatusPreconditionFailed:
			c.conditional.Store(true)
			return c.orStands(ctx, s)
		case http.StatusNotImplemented:
			c.unconditional.Store(true)
		default:
			return etag, err
		}
	}
	return write(false)
}

// learnCondition repeats the write of an object that has just been written, which a server
// that knows conditions refuses.
func (c *Client) learnCondition(again func(onlyNew bool) (etag string, err error)) {
	if !c.options.NoOverwrite || c.conditional.Load() || c.unconditional.Load() {
		return
	}
	_, err := again(true)
	switch Status(err) {
	case http.StatusPreconditionFailed:
		c.conditional.Store(true)
	case 0:
		// Nothing was learnt, unless it was written again.
		c.unconditional.Store(err == nil)
	}
}

// orStands returns the ETag of the object that stands, if it is the one.
func (c *Client) orStands(ctx context.Context, s standing) (etag string, err error) {
	if etag, ok := c.stands(ctx, s); ok {
		return etag, nil
	}
	return "", taken(s.key)
}

// MayStore returns an error if no object may be replaced and one stands at the key already:
// of an upload the server would say so only once all parts stand. Who may not look finds
// out then.
func (c *Client) MayStore(ctx context.Context, key string) error {
	if !c.options.NoOverwrite {
		return nil
	}
	err := c.vacant(ctx, key)
	if e, ok := errors.AsType[*Error](err); ok && e.Class == Permission {
		return nil
	}
	return err
}

// vacant returns an error if an object stands at the key.
func (c *Client) vacant(ctx context.Context, key string) error {
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
