package restore

import (
	"context"
	"fmt"
	"maps"

	"cargoship.dev/operator/internal/archive"
)

// refer removes the references of a run from the garbage. Those of a dead run do not count,
// unless a run is alive: that may have begun to reference one that was finished then and has
// lost its index since.
func (p *pruner) refer(ctx context.Context, r *pruneRun) error {
	switch {
	case r.expired:
		return nil
	case r.index != nil:
		c := &Catalog{Index: *r.index, bucket: p.Bucket, digests: map[string]digestList{}}
		for m, err := range c.Manifests(ctx) {
			if err != nil {
				return err
			}
			p.referred(m)
		}
		return nil
	case p.found.Alive == 0:
		return nil
	}
	for _, key := range r.bookkeeping {
		if !archive.IsManifestKey(p.Base, r.id, key) {
			continue
		}
		data, err := p.Bucket.Get(ctx, key)
		if err != nil {
			return err
		}
		m, err := archive.DecodeManifest(data)
		if err != nil {
			return fmt.Errorf("manifest %s: %w", key, err)
		}
		p.referred(m)
	}
	maps.DeleteFunc(p.garbage, func(_ string, object prunable) bool { return object.run == r.id })
	return nil
}

func (p *pruner) referred(m archive.Manifest) {
	if m.Object != nil {
		delete(p.garbage, m.Object.Key)
	}
	for _, f := range m.Members {
		delete(p.garbage, f.Key)
	}
}
