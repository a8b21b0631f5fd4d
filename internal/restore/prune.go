package restore

import (
	"context"
	"errors"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/transfer"
)

// pruneKey is where a prune says, before it removes anything of an unfinished run, that
// nobody is to go on with it.
func pruneKey(l archive.Layout) string { return l.BookkeepingPrefix() + "pruned" }

// Kept says that nobody removes an unfinished run, to whoever has just written its plan
// anew.
func Kept(ctx context.Context, b Bucket, l archive.Layout) (bool, error) {
	_, err := b.Stat(ctx, pruneKey(l))
	if errors.Is(err, transfer.ErrNotFound) {
		return true, nil
	}
	return false, err
}
