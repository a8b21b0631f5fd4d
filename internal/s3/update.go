package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
)

// maxUpdates is how many times an update begins anew because another writer came first.
const maxUpdates = 16

// Update replaces a bookkeeping object by what change makes of it, so that of several
// writers none undoes what another has written meanwhile. Where there is no object change
// is given nil; where it returns what it was given nothing is written. It is called anew
// each time that another writer came first.
//
// Where a server knows no conditional writes, or takes no notice of the condition, a write
// between reading and writing is lost.
func (c *Client) Update(ctx context.Context, key string, change func(old []byte) ([]byte, error)) error {
	var err error
	for range maxUpdates {
		var done bool
		if done, err = c.update(ctx, key, change); done {
			return err
		}
	}
	return fmt.Errorf("update %s: other writers came first %d times in a row: %w", key, maxUpdates, err)
}

// update is one round of Update; done is false where another writer came first.
func (c *Client) update(ctx context.Context, key string, change func(old []byte) ([]byte, error)) (done bool, err error) {
	old, etag, err := c.getVersion(ctx, key, maxGet)
	missing := errors.Is(err, ErrNotFound)
	if err != nil && !missing {
		return true, err
	}
	changed, err := change(old)
	if err != nil || !missing && bytes.Equal(changed, old) {
		return true, err
	}
	err = c.putBookkeeping(ctx, key, changed, attributes{onlyNew: missing, onlyOver: etag})
	switch Status(err) {
	case http.StatusPreconditionFailed, http.StatusConflict, http.StatusNotFound:
		return false, err
	case http.StatusNotImplemented:
		return true, c.putBookkeeping(ctx, key, changed, attributes{})
	default:
		return true, err
	}
}
