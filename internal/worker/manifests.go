package worker

import (
	"context"

	"cargoship.dev/operator/internal/archive"
)

// ManifestStore is where the workers of a transfer keep its manifests.
type ManifestStore interface {
	Put(ctx context.Context, key string, body []byte) error
	// Update replaces an object by what change makes of it, and loses no other writer's
	// change; old is nil where there is none.
	Update(ctx context.Context, key string, change func(old []byte) ([]byte, error)) error
}

// StoreManifests returns what EngineOptions.Manifests asks for. An archive has one
// manifest, but may have had several workers: one that was thought dead ends its attempt
// beside its successor, in any order. Of a manifest that names failures therefore only
// what no other attempt has stored counts; one that names none stands for itself.
func StoreManifests(s ManifestStore) func(context.Context, string, archive.Manifest) (archive.Manifest, error) {
	return func(ctx context.Context, key string, m archive.Manifest) (archive.Manifest, error) {
		if m.Whole() {
			body, err := m.Encode()
			if err != nil {
				return m, err
			}
			return m, s.Put(ctx, key, body)
		}
		stands := m
		err := s.Update(ctx, key, func(old []byte) ([]byte, error) {
			stands = m
			// What cannot be read was not written by a worker of ours, or not whole.
			if other, err := archive.DecodeManifest(old); err == nil {
				stands = m.Merge(other)
			}
			return stands.Encode()
		})
		return stands, err
	}
}
