package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// markPrefix is the prefix of marks, which prunes write before they remove an unfinished run,
// so that nobody resumes it. Each prune has a mark of its own, so that it removes no other's.
func markPrefix(l archive.Layout) string { return l.BookkeepingPrefix() + "pruned" }

func isMark(l archive.Layout, key string) bool { return strings.HasPrefix(key, markPrefix(l)) }

func (p *pruner) mark(l archive.Layout) string { return markPrefix(l) + "/" + p.id }

// claim marks an unfinished run, and returns whether nobody has resumed it; see Kept. If
// somebody has, it removes the mark.
func (p *pruner) claim(ctx context.Context, r *pruneRun) (bool, error) {
	l := archive.Layout{Base: p.Base, UID: r.id}
	if err := p.Bucket.Put(ctx, p.mark(l), []byte("this run is being removed\n")); err != nil {
		return false, fmt.Errorf("mark run %s as being removed: %w", r.id, err)
	}
	if r.layout != nil {
		l = *r.layout
	}
	for sign, err := range Signs(ctx, p.Bucket, l) {
		if err != nil {
			return false, err
		}
		old := !sign.Modified.IsZero() && sign.Modified.Before(p.Before)
		switch {
		case sign.Key == p.mark(l) && old:
			// By such a clock even objects being written are old.
			return false, errors.Join(p.remove(ctx, []string{p.mark(l)}), fmt.Errorf(
				"remove run %s: this machine's clock is ahead of the server's by more than the age from which on runs are removed: set it right", r.id))
		case !isMark(l, sign.Key) && !old:
			p.found.Alive++
			return false, p.remove(ctx, []string{p.mark(l)})
		}
	}
	return true, nil
}

// Kept says that no prune is removing an unfinished run. Call it after rewriting its plan.
func Kept(ctx context.Context, b Bucket, l archive.Layout) (bool, error) {
	marks, err := b.List(ctx, markPrefix(l))
	return err == nil && len(marks) == 0, err
}

// Signs are the signs of life of a run: its bookkeeping, archives, large files and open
// uploads, each with the server's time. They include the marks of prunes.
func Signs(ctx context.Context, b PruneBucket, l archive.Layout) iter.Seq2[s3.Stored, error] {
	return func(yield func(s3.Stored, error) bool) {
		prefixes := l.RunPrefixes()
		for _, prefix := range append([]string{l.BookkeepingPrefix()}, prefixes...) {
			for object, err := range b.Objects(ctx, prefix) {
				if !yield(object, err) || err != nil {
					return
				}
			}
		}
		for _, prefix := range prefixes {
			uploads, err := b.OpenUploads(ctx, prefix)
			if err != nil {
				yield(s3.Stored{}, err)
				return
			}
			for _, u := range uploads {
				if !yield(s3.Stored{Key: u.Key, Modified: u.Initiated}, nil) {
					return
				}
			}
		}
	}
}
