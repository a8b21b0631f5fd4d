package lifecycle

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// pageSize is how many objects of users are in memory at once. Each may have 1.5 MB.
const pageSize = 50

// eachPage lists objects past the cache, whose number and size the users of a namespace choose, and has each
// page looked at. What is kept of a page is all that stays of it.
func eachPage[L any, P interface {
	*L
	client.ObjectList
}](ctx context.Context, r *Reconciler, look func(P) error, of ...client.ListOption) error {
	for next := ""; ; {
		var err error
		if next, err = onePage(ctx, r, look, append(of, client.Limit(pageSize), client.Continue(next))...); err != nil || next == "" {
			return err
		}
	}
}

// onePage reads a page and tells where the next begins, one at a time for all reconciles.
func onePage[L any, P interface {
	*L
	client.ObjectList
}](ctx context.Context, r *Reconciler, look func(P) error, of ...client.ListOption) (next string, err error) {
	r.listing.Lock()
	defer r.listing.Unlock()
	page := P(new(L))
	if err := r.APIReader.List(ctx, page, of...); err != nil {
		return "", fmt.Errorf("list %T: %w", page, err)
	}
	return page.GetContinue(), look(page)
}
