package worker

import (
	"context"
	"errors"
	"strings"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// ManifestStore is where the workers of a transfer keep its manifests.
type ManifestStore interface {
	Put(ctx context.Context, key string, body []byte) error
	// Update replaces an object by what change makes of it, and loses no other writer's
	// change; old is nil where there is none.
	Update(ctx context.Context, key string, change func(old []byte) ([]byte, error)) error
	// Stat asks for what is kept of an object.
	Stat(ctx context.Context, key string) (s3.ObjectInfo, error)
}

// StoreManifests returns what EngineOptions.Manifests asks for. An archive has one
// manifest, but may have had several workers: one that was thought dead ends its attempt
// beside its successor, in any order. Of a manifest that names failures therefore only
// what no other attempt has stored counts; one that names none stands for itself.
//
// The attempts store their tars at one key. A manifest is therefore written only if the tar is
// still its own after the manifest before was read: whoever replaces the tar later replaces
// the manifest later too.
func StoreManifests(s ManifestStore) func(context.Context, string, archive.Manifest) (archive.Manifest, error) {
	return func(ctx context.Context, key string, m archive.Manifest) (archive.Manifest, error) {
		if m.Whole() && m.Object == nil {
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
			if err := isStored(ctx, s, stands.Object); err != nil {
				return nil, err
			}
			return stands.Encode()
		})
		return stands, err
	}
}

// isStored returns an error unless the tar is the one that is stored. Who may not ask takes it
// for that.
func isStored(ctx context.Context, s ManifestStore, tar *archive.Object) error {
	if tar == nil {
		return nil
	}
	info, err := s.Stat(ctx, tar.Key)
	te, known := errors.AsType[*s3.Error](err)
	switch {
	case known && te.Class == s3.Permission:
		return nil
	case err != nil && !errors.Is(err, s3.ErrNotFound):
		return err
	case err == nil && sameTar(info, *tar):
		return nil
	}
	return &s3.Error{Class: s3.Transient, Reason: s3.ReasonObjectReplaced, Op: "look up object", Key: tar.Key,
		Err: errors.New("another attempt has stored the archive meanwhile")}
}

// sameTar compares a tar with what is stored, by its checksum or, where none is kept, its ETag.
func sameTar(info s3.ObjectInfo, tar archive.Object) bool {
	if sum := info.Checksums[tar.ChecksumAlgorithm]; sum != "" {
		return sum == tar.Checksum
	}
	return tar.ETag == "" || strings.TrimPrefix(info.ETag, `W/"`) == tar.ETag
}
