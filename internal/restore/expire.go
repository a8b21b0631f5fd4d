package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// sort finds which series a finished packed run is one of: those of the same source, or of
// transfers of the same name. It stays empty, so that the run never expires, where nothing
// tells, and where no plan would tell what is left of it.
func (p *pruner) sort(ctx context.Context, r *pruneRun) error {
	l := archive.Layout{Base: p.Base, UID: r.id}
	if r.layout.Run == "" || !slices.Contains(r.bookkeeping, l.PlanKey()) {
		return nil
	}
	data, err := p.Bucket.Get(ctx, l.PlanKey())
	if errors.Is(err, s3.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	plan, err := archive.DecodePlan(data)
	switch {
	case err != nil:
		return err
	case plan.Source != "":
		r.series = "source " + plan.Source
	case r.index.Namespace != "" && r.index.Name != "":
		r.series = "transfer " + r.index.Namespace + "/" + r.index.Name
	}
	return nil
}

// expire marks the finished runs with enough newer ones, by the server's times of their indexes.
// Partial runs do not count as newer ones. The run that others reference and that is restored
// by default never expires, nor does any while an unfinished run is alive.
func (p *pruner) expire() {
	if p.KeepLast <= 0 || p.found.Alive > 0 {
		return
	}
	var finished []*pruneRun
	for _, r := range p.runs {
		if r.index != nil {
			finished = append(finished, r)
		}
	}
	slices.SortFunc(finished, func(a, b *pruneRun) int {
		return cmp.Or(b.index.Written.Compare(a.index.Written), cmp.Compare(b.id, a.id))
	})
	if len(finished) == 0 {
		return
	}
	last := finished[0].index.Written
	slices.SortStableFunc(finished, func(a, b *pruneRun) int { return b.committed.Compare(a.committed) })
	newer := map[string]int{}
	for _, r := range finished {
		enough := newer[r.series] >= p.KeepLast
		r.expired = enough && r.series != "" && r.committed.Before(p.Before) && r.index.Written.Before(last)
		if !r.index.Partial {
			newer[r.series]++
		}
	}
}

// retire turns an expired run into an unfinished one that nobody resumes, so that the next
// prune can finish an interrupted one.
func (p *pruner) retire(ctx context.Context, r *pruneRun) error {
	l := archive.Layout{Base: p.Base, UID: r.id}
	if err := p.Bucket.Put(ctx, p.mark(l), []byte("this run is being removed\n")); err != nil {
		return fmt.Errorf("mark run %s as being removed: %w", r.id, err)
	}
	return p.remove(ctx, []string{l.IndexKey()})
}
