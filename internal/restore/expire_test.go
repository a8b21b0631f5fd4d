package restore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// left are the runs that have an index.
func (a *aged) left() (ids []string) {
	for key := range a.objects {
		if id, ok := strings.CutSuffix(strings.TrimPrefix(key, "base/.cargoship/"), "/index.json"); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// nightly has runs end a day apart, each of which has an archive of its own and refers to
// one of the run before.
func nightly(t *testing.T, a *aged, source string, n int) (all []*writing) {
	for i := range n {
		w := begin(t, a, fmt.Sprintf("%s-%d", source, i))
		must(t, archive.Plan{Layout: w.layout, Source: source}.Write(t.Context(), a))
		if i > 0 {
			w.send(t, a, &all[i-1].manifests[len(all[i-1].manifests)-1])
		}
		w.send(t, a, nil)
		w.commit(t, a)
		a.now = a.now.Add(24 * time.Hour)
		all = append(all, w)
	}
	return all
}

func keepLast(a *aged, n int, age time.Duration) (restore.Pruned, error) {
	return restore.Prune(context.Background(), restore.PruneOptions{Bucket: a, Base: "base", Before: a.now.Add(-age), KeepLast: n, Remove: true})
}

// TestKeepLastKeepsTheNewestOfEachSource also looks at what they refer to, and has prunes that
// are cut short anywhere.
func TestKeepLastKeepsTheNewestOfEachSource(t *testing.T) {
	for changes := range 60 {
		a := newAged()
		nightly(t, a, "one", 4)
		nightly(t, a, "two", 3)
		want := []string{"one-2", "one-3", "two-1", "two-2"}
		whole := func() {
			for _, id := range want {
				a.wantWhole(t, id)
			}
		}
		a.before = func() error {
			if changes--; changes < 0 {
				return errors.New("killed")
			}
			return nil
		}
		_, _ = keepLast(a, 2, pruneAge) // It fails or not.
		a.before = func() error { return nil }
		whole()
		a.now = a.now.Add(2 * pruneAge)
		if _, err := keepLast(a, 2, pruneAge); err != nil || !slices.Equal(a.left(), want) {
			t.Fatalf("%v, left: %q, want %q", err, a.left(), want)
		}
		whole()
		for key := range a.objects {
			// What is referred to by one-2 and two-1, and what tells that it is there.
			if strings.Contains(key, "/one-0/") || strings.Contains(key, "/two-0/") && (strings.Contains(key, "/manifests/") || strings.HasSuffix(key, "/report.json")) {
				t.Fatalf("%s is left", key)
			}
		}
	}
}

func TestKeepLastRemovesNoRun(t *testing.T) {
	for name, tc := range map[string]struct {
		age     time.Duration
		prepare func(a *aged, all []*writing)
	}{
		"that is too young":          {1000 * time.Hour, func(*aged, []*writing) {}},
		"while another is under way": {pruneAge, func(a *aged, _ []*writing) { begin(t, a, "under way") }},
		"of an unknown source": {pruneAge, func(a *aged, all []*writing) {
			for _, w := range all {
				must(t, archive.Plan{Layout: w.layout}.Write(t.Context(), a))
			}
			a.now = a.now.Add(2 * pruneAge)
		}},
		"without a plan": {pruneAge, func(a *aged, all []*writing) {
			for _, w := range all {
				delete(a.objects, w.layout.PlanKey())
			}
		}},
		"for partial ones": {pruneAge, func(a *aged, all []*writing) {
			for _, w := range all[1:] {
				w.reindex(t, a, func(i *archive.Index) { i.Partial = true })
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAged()
			all := nightly(t, a, "one", 3)
			tc.prepare(a, all)
			if p, err := keepLast(a, 1, tc.age); err != nil || p.Expired != 0 || len(a.left()) != 3 {
				t.Errorf("%+v, %v; left: %q", p, err, a.left())
			}
		})
	}
}

// TestKeepLastTrustsNoClockOfACopy has the oldest run say that it is the newest, and the
// newest that it is the oldest.
func TestKeepLastTrustsNoClockOfACopy(t *testing.T) {
	a := newAged()
	all := nightly(t, a, "one", 3)
	all[0].reindex(t, a, func(i *archive.Index) { i.Written = a.now.Add(1000 * time.Hour) })
	all[2].reindex(t, a, func(i *archive.Index) { i.Written = time.Unix(0, 0) })
	a.now = a.now.Add(pruneAge)
	if p, err := keepLast(a, 1, pruneAge); err != nil || p.Expired != 1 || !slices.Equal(a.left(), []string{"one-0", "one-2"}) {
		t.Errorf("%+v, %v; left: %q", p, err, a.left())
	}
}

// reindex changes the index of a run where it is.
func (w *writing) reindex(t *testing.T, a *aged, change func(*archive.Index)) {
	t.Helper()
	data, err := a.Get(t.Context(), w.layout.IndexKey())
	must(t, err)
	index, err := archive.DecodeIndex(data)
	must(t, err)
	change(&index)
	data, err = index.Encode()
	must(t, err)
	a.objects[w.layout.IndexKey()] = data
}
