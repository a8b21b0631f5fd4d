// Package estimate counts what a run would create, and says how that is stored for the least money.
package estimate

import (
	"context"
	"errors"
	"fmt"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/prices"
	"cargoship.dev/operator/internal/upload"
)

// ErrNothingListed is of a run that has not listed anything.
var ErrNothingListed = errors.New("the transfer has listed nothing yet: retry once it has started")

// Run is what a run creates.
type Run struct {
	// Packing is objects or tar.
	Packing string `json:"packing"`
	// Files counts files, and with packing tar directories and links too.
	Files    int64 `json:"files"`
	Skipped  int64 `json:"skipped"`
	Archives int64 `json:"archives"`
	// Objects, Bytes and Requests are those of data and bookkeeping. Bytes are before
	// compression, and without those of bookkeeping.
	Objects  int64 `json:"objects"`
	Bytes    int64 `json:"bytes"`
	Requests int64 `json:"requests"`

	load    prices.Load
	members int64
}

// Load is what the run stores.
func (r *Run) Load() prices.Load { return r.load }

// Directory counts what a copy of a directory would create. It opens and lists the directory, and
// reads no file.
func Directory(ctx context.Context, dir string, layout archive.Layout, include, exclude []string, table prices.Table) (Run, error) {
	source, err := archive.OpenSource(dir, "")
	if err != nil {
		return Run{}, err
	}
	defer func() { _ = source.Close() }()
	c := counter{table: table}
	layout.UID = "estimate"
	c.begin(layout)
	if layout, err = source.Resolve(ctx, layout, include, exclude); err != nil {
		return Run{}, err
	}
	options := archive.WalkOptions{Include: include, Exclude: exclude, Layout: layout}
	_, err = source.Walk(ctx, options, func(a archive.Archive) error {
		c.add(layout, a)
		return nil
	})
	return c.end(), err
}

// Planned counts the inventory of a run, of whose layout base and UID are given, and tells
// whether its source is listed to the end. Before there is a plan it returns ErrNothingListed.
func Planned(ctx context.Context, bucket archive.Store, l archive.Layout, table prices.Table) (r Run, whole bool, err error) {
	plan, found, err := archive.ReadPlan(ctx, bucket, l)
	switch {
	case err != nil:
		return r, false, err
	case !found:
		return r, false, ErrNothingListed
	}
	c := counter{table: table}
	c.begin(plan.Layout)
	inventory := archive.NewInventory(bucket, plan.Layout)
	for _, prefix := range plan.Layout.Prefixes() {
		for listed, err := range inventory.Listed(ctx, prefix) {
			var a archive.Archive
			if err == nil {
				a, err = inventory.Archive(ctx, prefix, listed.Number)
			}
			if err != nil {
				return r, false, fmt.Errorf("read what is planned: %w", err)
			}
			c.add(plan.Layout, a)
		}
	}
	return c.end(), plan.Complete, nil
}

// counter counts a run archive by archive.
type counter struct {
	table prices.Table
	run   Run
}

// begin counts what a run has once: index and report, and with tars the plan.
func (c *counter) begin(layout archive.Layout) {
	c.bookkeeping(2)
	c.run.Packing = "objects"
	if layout.Tar != nil {
		c.run.Packing = "tar"
		c.bookkeeping(1)
	}
}

// add counts an archive, its manifest, and with the first of a prefix the digests.
func (c *counter) add(layout archive.Layout, a archive.Archive) {
	c.run.Archives++
	c.run.members += a.Files()
	if a.Number == 0 {
		c.bookkeeping(1)
	}
	_, packs := layout.TarKey(a)
	for _, entry := range a.Entries {
		switch {
		case !entry.Sendable():
			c.run.Skipped++
			continue
		case !packs || entry.Object:
			c.table.Add(&c.run.load, entry.Size, upload.Requests(entry.Size))
		}
		c.run.Files++
	}
	if packs {
		size := archive.PlannedSize(a)
		c.table.Add(&c.run.load, size, upload.StreamRequests(size))
	}
	c.bookkeeping(1)
}

func (c *counter) bookkeeping(objects int64) { c.run.load.Bookkeeping += objects }

// end counts the path index and adds up.
func (c *counter) end() Run {
	r := c.run
	r.load.Bookkeeping += archive.PathIndexObjects(r.members)
	r.Objects, r.Bytes = r.load.Objects+r.load.Bookkeeping, r.load.Bytes
	r.Requests = r.load.Requests + r.load.Bookkeeping
	return r
}
