package s3

import (
	"context"
	"errors"
	"net/http"
)

// anyETag is what If-None-Match says for any object at all.
const anyETag = "*"

// expected is the object that a request is to make.
type expected struct {
	key            string
	size           int64
	algorithm, sum string
	// etag is what proves it where no checksum is kept.
	etag func(context.Context) (string, error)
}

// putIfAbsent writes an object and, with NoOverwrite, replaces none: write is told whether
// to make that a condition of its request. An object that exists may be the expected one,
// stored by an attempt whose response was lost; that is success.
//
// Some servers ignore the condition. Until this one is known to honor it, the key is looked
// up first.
func (c *Client) putIfAbsent(ctx context.Context, s expected, write func(onlyNew bool) (etag string, err error)) (string, error) {
	if !c.options.NoOverwrite {
		return write(false)
	}
	if !c.conditional.Load() {
		err := c.checkAbsent(ctx, s.key)
		te, known := errors.AsType[*Error](err)
		switch {
		case known && te.Reason == ReasonObjectExists:
			return c.matchExisting(ctx, s)
		case known && te.Class == Permission && !c.unconditional.Load():
			// Without permission to look, rely on the condition.
		case err != nil:
			return "", err
		}
	}
	if !c.unconditional.Load() {
		etag, err := write(true)
		switch Status(err) {
		case http.StatusPreconditionFailed:
			c.conditional.Store(true)
			return c.matchExisting(ctx, s)
		case http.StatusNotImplemented:
			c.unconditional.Store(true)
		default:
			return etag, err
		}
	}
	return write(false)
}

// learnCondition repeats the write of an object that has just been written, which a server
// that honors conditions rejects.
func (c *Client) learnCondition(again func(onlyNew bool) (etag string, err error)) {
	if !c.options.NoOverwrite || c.conditional.Load() || c.unconditional.Load() {
		return
	}
	_, err := again(true)
	switch Status(err) {
	case http.StatusPreconditionFailed:
		c.conditional.Store(true)
	case 0:
		// Nothing was learned, unless it was written again.
		c.unconditional.Store(err == nil)
	}
}

// matchExisting returns the ETag of the existing object if it is the expected one.
func (c *Client) matchExisting(ctx context.Context, s expected) (etag string, err error) {
	if etag, ok := c.findStored(ctx, s); ok {
		return etag, nil
	}
	return "", errExists(s.key)
}

// MayStore returns an error if no object may be replaced and the key has one: for a
// multipart upload the server would say so only at its completion. Without permission to
// look, that is when it is found out.
func (c *Client) MayStore(ctx context.Context, key string) error {
	if !c.options.NoOverwrite {
		return nil
	}
	err := c.checkAbsent(ctx, key)
	if e, ok := errors.AsType[*Error](err); ok && e.Class == Permission {
		return nil
	}
	return err
}

// checkAbsent returns an error if an object with the key exists.
func (c *Client) checkAbsent(ctx context.Context, key string) error {
	_, err := c.Stat(ctx, key)
	switch {
	case err == nil:
		return errExists(key)
	case errors.Is(err, ErrNotFound):
		return nil
	default:
		return err
	}
}

func errExists(key string) error {
	return &Error{Class: Source, Reason: ReasonObjectExists, Op: "store", Key: key,
		Err: errors.New("an object with this key exists and must not be overwritten: choose another prefix, or allow overwriting")}
}
