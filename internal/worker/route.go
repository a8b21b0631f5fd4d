package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

const (
	// maxPicked is how many members a restore may select for all its pods to have them in
	// memory: they take some 5 MiB.
	maxPicked = 10_000
	// pickedSuffix is behind the name of a prefix of which only what is selected is restored. No
	// prefix of a layout ends so, since the component is reserved.
	pickedSuffix = "/.cargoship/selected"
	// maxPrefixName is how long a name may be in a lease, in bytes.
	maxPrefixName = 255
)

// route is what a restore goes through: the archives of the run or, where the path index tells
// what is selected, as many archives as hold some of that, numbered anew, by prefixes of names of their
// own. So pods that find the index damaged never take the one for the other.
type route struct {
	catalog  *restore.Catalog
	prefixes []archive.IndexedPrefix
	picked   map[string][]archive.Manifest
}

// newRoute looks up what is selected.
func newRoute(ctx context.Context, c *restore.Catalog, s restore.Selection) (*route, error) {
	r := &route{catalog: c, prefixes: c.Index.Prefixes}
	manifests, ok, err := c.Pick(ctx, s, maxPicked)
	if err != nil || !ok || len(c.Index.Prefixes) == 0 {
		return r, err
	}
	r.prefixes, r.picked = nil, map[string][]archive.Manifest{}
	for _, x := range c.Index.Prefixes {
		if len(x.Name)+len(pickedSuffix) > maxPrefixName {
			return &route{catalog: c, prefixes: c.Index.Prefixes}, nil
		}
		r.pick(x.Name, manifests)
	}
	return r, nil
}

// pick adds the prefix with those of the manifests that are of it. What leads to what is selected is of no
// prefix, and goes with the first.
func (r *route) pick(prefix string, manifests []archive.Manifest) {
	var tally archive.Tally
	var own []archive.Manifest
	for _, m := range manifests {
		if m.Prefix == prefix || m.Prefix == "" && len(r.prefixes) == 0 {
			own = append(own, m)
			tally = tally.Plus(m.Tally())
		}
	}
	name, sum := prefix+pickedSuffix, tally.Total()
	r.picked[name] = own
	r.prefixes = append(r.prefixes, archive.IndexedPrefix{
		Name: name, Archives: int64(len(own)), Manifests: int64(len(own)), Files: sum.Files, Bytes: sum.Bytes, Outcomes: &tally})
}

// manifest returns an archive by prefix and number.
func (r *route) manifest(ctx context.Context, prefix string, number int64) (archive.Manifest, error) {
	if !strings.HasSuffix(prefix, pickedSuffix) {
		m, err := r.catalog.Manifest(ctx, prefix, number)
		return m, unanswered(err)
	}
	if own := r.picked[prefix]; number < int64(len(own)) {
		return own[number], nil
	}
	return archive.Manifest{}, reasoned{fmt.Errorf("archive %d of prefix %q: the path index can't be read here as another worker could", number, prefix),
		v1alpha1.ReasonRunUnreadable}
}

// unanswered returns the error of a manifest that the server can't give now as what it is, so that nobody
// takes that manifest for damaged and passes it over.
func unanswered(err error) error {
	if damaged, ok := errors.AsType[*restore.ManifestError](err); ok && restore.Transient(err) {
		return fmt.Errorf("read manifest: %w", damaged.Err)
	}
	return err
}

// manifests returns all of them.
func (r *route) manifests(ctx context.Context) iter.Seq2[archive.Manifest, error] {
	if r.picked == nil {
		return func(yield func(archive.Manifest, error) bool) {
			for m, err := range r.catalog.Manifests(ctx) {
				if !yield(m, unanswered(err)) {
					return
				}
			}
		}
	}
	return func(yield func(archive.Manifest, error) bool) {
		for _, x := range r.prefixes {
			for _, m := range r.picked[x.Name] {
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}
