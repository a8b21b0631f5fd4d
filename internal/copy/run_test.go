package copy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// plans is a bucket that holds bookkeeping, or denies to be read.
type plans struct {
	restore.Bucket
	objects map[string][]byte
	denied  error
}

func (p plans) Get(_ context.Context, key string) ([]byte, error) {
	body, there := p.objects[key]
	switch {
	case p.denied != nil:
		return nil, p.denied
	case !there:
		return nil, s3.ErrNotFound
	}
	return body, nil
}

func (p plans) Stat(ctx context.Context, key string) (s3.ObjectInfo, error) {
	_, err := p.Get(ctx, key)
	return s3.ObjectInfo{}, err
}

func (p plans) List(_ context.Context, prefix string) (keys []string, err error) {
	for key := range p.objects {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	return keys, p.denied
}

// TestARunThatWasTakenAwayIsNotCommitted has prune remove, or begin to remove, a run whose
// process stores nothing for long, and another process go on with it.
func TestARunThatWasTakenAwayIsNotCommitted(t *testing.T) {
	tar := &archive.Tar{Name: "a", TargetSize: 1 << 30, LargeFile: 64 << 20, Compression: archive.Zstd, Level: 3}
	layout := archive.Layout{Pattern: archive.Hash, Count: 1, UID: "id", Run: "id", Tar: tar}
	begun := archive.Plan{Layout: layout, Source: "source", Begun: time.Now().UTC()}
	later := begun
	later.Begun = begun.Begun.Add(time.Second)
	encode := func(p archive.Plan) []byte {
		data, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, tc := range map[string]struct {
		bucket plans
		want   error
	}{
		"as begun":      {plans{objects: map[string][]byte{layout.PlanKey(): encode(begun)}}, nil},
		"removed":       {plans{}, errNotOwn},
		"being removed": {plans{objects: map[string][]byte{layout.PlanKey(): encode(begun), layout.BookkeepingPrefix() + "pruned": nil}}, errNotOwn},
		"resumed":       {plans{objects: map[string][]byte{layout.PlanKey(): encode(later)}}, errNotOwn},
		"write only":    {plans{denied: &s3.Error{Class: s3.Permission, Err: errors.New("denied")}}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			if err := own(t.Context(), tc.bucket, begun); !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v", name, err, tc.want)
			}
		})
	}
}
