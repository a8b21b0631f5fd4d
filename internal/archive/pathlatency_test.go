package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slowRun is a run in a store that takes a while to answer.
type slowRun struct {
	*pathRun
	latency time.Duration
}

func (s slowRun) Put(ctx context.Context, key string, body []byte) error {
	time.Sleep(s.latency)
	return s.pathRun.Put(ctx, key, body)
}

func (s slowRun) Get(ctx context.Context, key string) ([]byte, error) {
	time.Sleep(s.latency)
	return s.pathRun.Get(ctx, key)
}

// What ends a run takes a few round trips, however many archives and prefixes it has.
func TestCommitDoesNotWaitForOneManifestAfterTheOther(t *testing.T) {
	for name, c := range map[string]struct{ prefixes, archives, most int }{
		"one archive": {1, 1, 3}, "one prefix": {1, 256, 34}, "many prefixes": {16, 256, 34},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				paths := make([]string, c.archives)
				for i := range paths {
					paths[i] = fmt.Sprintf("f%05d", i)
				}
				r := newPathRun(t, paths, c.prefixes, 1)
				var finished []FinishedPrefix
				for _, prefix := range r.index.Layout.Prefixes() {
					finished = append(finished, FinishedPrefix{Name: prefix, Digests: r.digests[prefix]})
				}
				const latency = 100 * time.Millisecond
				start := time.Now()
				without := func(err error) { t.Errorf("no path index: %v", err) }
				if err := r.index.Commit(t.Context(), slowRun{r, latency}, finished, CommitHooks{Without: without}); err != nil {
					t.Fatal(err)
				}
				// The manifests, the path index beside the digests, and the index.
				if took := time.Since(start); took > time.Duration(c.most)*latency {
					t.Errorf("committing took %v, want at most %d round trips of %v", took, c.most, latency)
				}
			})
		})
	}
}

// unindexed is a run whose index can't be written.
type unindexed struct{ *pathRun }

func (u unindexed) Put(ctx context.Context, key string, body []byte) error {
	if strings.HasSuffix(key, "/index.json") {
		return errors.New("denied")
	}
	return u.pathRun.Put(ctx, key, body)
}

// What is done beside the index has the whole index, keeps it from nothing, and ends with it.
func TestTheIndexDoesNotWaitForWhatIsBesideIt(t *testing.T) {
	paths := []string{"a", "b", "c", "d"}
	seen, began := 0, 0
	hooks := CommitHooks{Without: func(err error) { t.Error(err) }, Each: func(PathMember) { seen++ }}
	synctest.Test(t, func(t *testing.T) {
		r := newPathRun(t, paths, 2, 1)
		hooks.Beside = func(_ context.Context, i Index) {
			time.Sleep(time.Hour)
			if _, err := r.Get(t.Context(), i.Layout.IndexKey()); err != nil || i.Paths == nil || len(i.Prefixes) != len(r.digests) {
				t.Errorf("the index %+v: %v", i, err)
			}
			began++
		}
		if err := r.index.Commit(t.Context(), r, r.finished(), hooks); err != nil || seen != len(r.members) || began != 1 {
			t.Errorf("%v, %d of %d members seen, %d calls", err, seen, len(r.members), began)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := newPathRun(t, paths, 2, 1)
		hooks.Beside = func(ctx context.Context, _ Index) { <-ctx.Done() }
		if err := r.index.Commit(t.Context(), unindexed{r}, r.finished(), hooks); err == nil {
			t.Error("the run is committed without an index")
		}
	})
}

func (r *pathRun) finished() (all []FinishedPrefix) {
	for _, prefix := range r.index.Layout.Prefixes() {
		if len(r.digests[prefix]) > 0 {
			all = append(all, FinishedPrefix{Name: prefix, Digests: r.digests[prefix]})
		}
	}
	return all
}
