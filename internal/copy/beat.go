package copy

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// beatInterval is how often a packed run shows that it is alive.
const beatInterval = time.Minute

// beatKey is the key of the object that shows it.
func beatKey(l archive.Layout) string { return l.BookkeepingPrefix() + "alive" }

// keepAlive shows that a packed run is alive until its context ends, so that nobody else
// resumes or removes it, however long one file takes. If that has happened nevertheless, as
// to a process that was stopped for long, it gives up the run: two must not write to it.
func keepAlive(ctx context.Context, b restore.PruneBucket, begun archive.Plan, logger *slog.Logger, giveUp context.CancelCauseFunc) {
	if begun.Layout.Run == "" {
		return
	}
	ticker := time.NewTicker(beatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := lost(begun, samePlan(ctx, b, begun)); errors.Is(err, errNotOwn) {
			giveUp(err)
			return
		}
		if err := b.Put(ctx, beatKey(begun.Layout), []byte("this run is under way\n")); err != nil && ctx.Err() == nil {
			logger.Warn("sign of life not written; will retry", "error", err)
		}
	}
}
