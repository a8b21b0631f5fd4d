package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/prices"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// thaw has objects made readable before archives are planned.
type thaw struct {
	thawer *restore.Thawer
	table  prices.Table
	// most is what it may cost.
	most float64

	mu sync.Mutex
	// waiting is what is waited for.
	waiting string
}

func newThaw(s *restore.Session, spec v1alpha1.Thaw, poll time.Duration) (*thaw, error) {
	table, err := prices.Default()
	if err != nil {
		return nil, err
	}
	thawer, err := s.Thawer(s3.ThawRequest{Days: max(1, spec.Days), Tier: string(spec.Tier)}, poll)
	if err != nil {
		return nil, err
	}
	t := &thaw{thawer: thawer, table: table}
	if spec.MaxCost != nil {
		t.most = spec.MaxCost.AsApproximateFloat64()
	}
	return t, nil
}

// waits tells what is waited for.
func (t *thaw) waits() string {
	if t == nil {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting
}

func (t *thaw) say(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = text
}

// thawed has everything thawed that the restore needs, and returns once it can be read. It tells
// of the archives of each prefix, in their order, as soon as all that they need can be read.
func (p *RestorePlace) thawed(ctx context.Context, progress func(archive.Plan)) error {
	t := p.thaw
	if t == nil {
		return nil
	}
	defer t.say("")
	frozen, err := t.thawer.Survey(ctx, p.route.manifests(ctx))
	if err != nil || frozen.None() {
		return err
	}
	offer, err := t.thawer.Offer(frozen, t.table)
	if err != nil {
		return reasoned{err, v1alpha1.ReasonThawUnavailable}
	}
	if len(frozen.Classes) > 0 && (t.most == 0 || offer.Cost > t.most) {
		return reasoned{fmt.Errorf("%v; spec.thaw.maxCost is %.2f, so nothing was asked for: create a restore with a higher one, or a cheaper tier or fewer days",
			offer, t.most), v1alpha1.ReasonThawTooExpensive}
	}
	t.say(offer.String())
	if err := t.thawer.Ask(ctx, p.route.manifests(ctx)); err != nil {
		return err
	}
	return p.awaitThaw(ctx, &grownPlan{said: offer.String(), say: t.say, progress: progress,
		plan: archive.Plan{Layout: p.route.catalog.Index.Layout, Prefixes: make([]archive.PlannedPrefix, len(p.route.prefixes))}})
}

// awaitThaw waits for all prefixes. What can be read already is told as one plan, so that a
// worker that takes over the duty tells of no less than the one before.
func (p *RestorePlace) awaitThaw(ctx context.Context, g *grownPlan) error {
	grown := make([]growth, len(p.route.prefixes))
	for _, readable := range []func(context.Context, archive.Manifest) (bool, error){p.thaw.thawer.Ready, p.thaw.await} {
		growing, working := errgroup.WithContext(ctx)
		for i, x := range p.route.prefixes {
			growing.Go(func() error { return p.grow(working, g, &grown[i], i, x, readable) })
		}
		if err := growing.Wait(); err != nil {
			return err
		}
		g.begin()
	}
	return nil
}

// await is Thawer.Await, after which an archive can be read.
func (t *thaw) await(ctx context.Context, m archive.Manifest) (bool, error) {
	return true, t.thawer.Await(ctx, m)
}

// growth is how far the plan of a prefix has come.
type growth struct {
	// next is the first archive that is not known to be readable.
	next int64
	// damaged: there was a manifest of which nobody knows how many files it lists, so that only
	// the whole plan tells what is behind it.
	damaged bool
}

// grow adds the archives of a prefix to the plan as long as they can be read.
func (p *RestorePlace) grow(ctx context.Context, g *grownPlan, so *growth, at int, x archive.IndexedPrefix,
	readable func(context.Context, archive.Manifest) (bool, error)) error {
	for ; so.next < x.Archives; so.next++ {
		m, err := p.route.manifest(ctx, x.Name, so.next)
		if errors.As(err, new(*restore.ManifestError)) {
			so.damaged = true
			continue
		}
		if err != nil {
			return err
		}
		if ready, err := readable(ctx, m); err != nil || !ready {
			return err
		}
		if !so.damaged {
			g.add(at, x.Name, m.Tally().Total())
		}
	}
	return nil
}

// grownPlan is a plan of the archives that can be read.
type grownPlan struct {
	progress func(archive.Plan)
	say      func(string)
	said     string

	mu    sync.Mutex
	plan  archive.Plan
	begun bool
}

// begin tells of the plan from now on.
func (g *grownPlan) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun = true
	g.tell()
}

// add adds an archive to a prefix.
func (g *grownPlan) add(at int, prefix string, c archive.Count) {
	g.mu.Lock()
	defer g.mu.Unlock()
	x := &g.plan.Prefixes[at]
	x.Name, x.Archives = prefix, x.Archives+1
	x.Files, x.Bytes = x.Files+c.Files, x.Bytes+c.Bytes
	if g.begun {
		g.tell()
	}
}

// tell tells of the prefixes that have archives. The caller holds the lock.
func (g *grownPlan) tell() {
	told, archives := archive.Plan{Layout: g.plan.Layout}, int64(0)
	for _, x := range g.plan.Prefixes {
		if x.Archives > 0 {
			told.Prefixes = append(told.Prefixes, x)
			archives += x.Archives
		}
	}
	g.say(fmt.Sprintf("%d archives can be read; asked for: %s", archives, g.said))
	g.progress(told)
}
