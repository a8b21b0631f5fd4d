package restore_test

import (
	"testing"

	"cargoship.dev/operator/internal/restore"
)

// TestPruneRemovesWhatNoPathIndexReads has finished runs with objects of a path index that was
// given up, or had more levels in an earlier attempt, and one that is read.
func TestPruneRemovesWhatNoPathIndexReads(t *testing.T) {
	for _, keepLast := range []int{0, 1} {
		a := newAged()
		without := begin(t, a, "without")
		without.send(t, a, nil)
		without.commit(t, a)
		with := begin(t, a, "with")
		with.send(t, a, nil)
		with.withPaths = true
		with.commit(t, a)
		read := with.layout.PathsKey(0, 0)
		if a.objects[read] == nil {
			t.Fatalf("there is no object at %s", read)
		}
		stale := []string{without.layout.PathsKey(0, 0), without.layout.PathsKey(0, 1), with.layout.PathsKey(7, 0)}
		for _, key := range stale {
			must(t, a.Put(t.Context(), key, []byte("left")))
		}
		prune := func() (restore.Pruned, error) {
			return restore.Prune(t.Context(), restore.PruneOptions{
				Bucket: a, Base: "base", Before: a.now.Add(-pruneAge), KeepLast: 2 * keepLast, Remove: true})
		}
		if p, err := prune(); err != nil || p != (restore.Pruned{}) {
			t.Errorf("while they may be part of a run that ends: %+v, %v", p, err)
		}
		a.now = a.now.Add(2 * pruneAge)
		if p, err := prune(); err != nil || p != (restore.Pruned{Objects: 3, Bytes: 12}) {
			t.Errorf("%+v, %v, want three objects of 12 bytes removed", p, err)
		}
		for _, key := range stale {
			if a.objects[key] != nil {
				t.Errorf("%s is left", key)
			}
		}
		if a.objects[read] == nil {
			t.Errorf("%s, which the index reads, was removed", read)
		}
		a.wantWhole(t, "without")
		a.wantWhole(t, "with")
	}
}
