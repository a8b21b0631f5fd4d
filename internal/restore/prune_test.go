package restore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// aged is a bucket in memory that knows when objects were stored.
type aged struct {
	*bucket
	now      time.Time
	modified map[string]time.Time
	uploads  []s3.OpenUpload
	// before is called before each change; an error is its answer.
	before func() error
}

func newAged() *aged {
	return &aged{
		bucket: &bucket{objects: map[string][]byte{}}, now: time.Unix(1e9, 0), modified: map[string]time.Time{},
		before: func() error { return nil },
	}
}

func (a *aged) Put(_ context.Context, key string, body []byte) error {
	if err := a.before(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.objects[key], a.modified[key] = body, a.now
	return nil
}

func (a *aged) Delete(_ context.Context, key string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.before(); err != nil {
		return err
	}
	delete(a.objects, key)
	return nil
}

func (a *aged) Objects(_ context.Context, prefix string) iter.Seq2[s3.Stored, error] {
	return func(yield func(s3.Stored, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(a.objects)) {
			if strings.HasPrefix(key, prefix) && !yield(s3.Stored{Key: key, Size: int64(len(a.objects[key])), Modified: a.modified[key]}, nil) {
				return
			}
		}
	}
}

func (a *aged) OpenUploads(_ context.Context, prefix string) ([]s3.OpenUpload, error) {
	return slices.DeleteFunc(slices.Clone(a.uploads), func(u s3.OpenUpload) bool { return !strings.HasPrefix(u.Key, prefix) }), nil
}

func (a *aged) AbortUpload(_ context.Context, u s3.OpenUpload) error {
	a.uploads = slices.DeleteFunc(a.uploads, func(o s3.OpenUpload) bool { return o == u })
	return nil
}

func (a *aged) prune(tb rapid.TB, age time.Duration) (restore.Pruned, error) {
	return restore.Prune(context.Background(), restore.PruneOptions{Bucket: a, Base: "base", Before: a.now.Add(-age), Remove: true})
}

// writing is a packed run under way.
type writing struct {
	layout    archive.Layout
	manifests []archive.Manifest
	// withPaths: the run gets a path index.
	withPaths bool
}

func begin(tb rapid.TB, a *aged, id string) *writing {
	w := &writing{layout: archive.Layout{Base: "base", Pattern: archive.Hash, Count: 1, UID: id, Run: id, Tar: new(zstd())}}
	must(tb, archive.Plan{Layout: w.layout, Source: "source"}.Write(context.Background(), a))
	return w
}

// send stores an archive and a large file, or refers to those of an earlier run.
func (w *writing) send(tb rapid.TB, a *aged, earlier *archive.Manifest) {
	number := int64(len(w.manifests))
	m := archive.Manifest{Transfer: w.layout.UID, Prefix: "00", Number: number, Attempt: 1}
	if earlier != nil {
		m.Object, m.Members = earlier.Object, earlier.Members
	} else {
		body := []byte(fmt.Sprintf("%s %d", w.layout.UID, number))
		key, path := w.layout.ArchiveKey("00", number), fmt.Sprintf("large-%d", number)
		must(tb, a.Put(context.Background(), key, body))
		must(tb, a.Put(context.Background(), w.layout.Key("00", path), body))
		m.Object = &archive.Object{Key: key, Size: int64(len(body)), Compression: archive.Zstd, Checksum: checksum(body), ChecksumAlgorithm: "CRC64NVME"}
		m.Members = []archive.Member{{
			Path: path, Key: w.layout.Key("00", path), Size: int64(len(body)), Outcome: archive.Done,
			Checksum: checksum(body), ChecksumAlgorithm: "CRC64NVME",
		}}
	}
	body, err := m.Encode()
	must(tb, err)
	must(tb, a.Put(context.Background(), w.layout.ManifestKey(0, number), body))
	w.manifests = append(w.manifests, m)
}

func (w *writing) commit(tb rapid.TB, a *aged) {
	index := archive.Index{Transfer: w.layout.UID, Written: a.now, Layout: w.layout}
	var tally archive.Tally
	var digests []archive.Digest
	for _, m := range w.manifests {
		body, err := m.Encode()
		must(tb, err)
		tally, digests = tally.Plus(m.Tally()), append(digests, sha256.Sum256(body))
	}
	must(tb, index.AddPrefixes(context.Background(), a, archive.FinishedPrefix{Name: "00", Planned: tally.Total(), Outcomes: tally, Digests: digests}))
	if w.withPaths {
		must(tb, index.AddPaths(context.Background(), a, map[string][]archive.Digest{"00": digests}))
	}
	must(tb, index.Write(context.Background(), a))
	must(tb, a.Put(context.Background(), w.layout.ReportKey(), []byte("what became of it")))
}

func must(tb rapid.TB, err error) {
	if err != nil {
		tb.Fatal(err)
	}
}

// wantWhole fails unless a finished run can be had whole.
func (a *aged) wantWhole(tb rapid.TB, id string) {
	c, err := restore.Open(context.Background(), a, "base", id)
	must(tb, err)
	v, err := restore.Verify(context.Background(), restore.VerifyOptions{Catalog: c})
	if err != nil || v.Wrong > 0 {
		tb.Fatalf("run %s: %+v, %v, %v", id, v, v.Failures, err)
	}
}

const pruneAge = 24 * time.Hour

func TestPruneRemovesNothingUnlessAllIsKnown(t *testing.T) {
	for name, damage := range map[string]func(a *aged, l archive.Layout){
		"an index":    func(a *aged, l archive.Layout) { a.objects[l.IndexKey()] = []byte("{") },
		"a manifest":  func(a *aged, l archive.Layout) { a.objects[l.ManifestKey(0, 0)] = []byte("{") },
		"no manifest": func(a *aged, l archive.Layout) { delete(a.objects, l.ManifestKey(0, 0)) },
		"digests":     func(a *aged, l archive.Layout) { a.objects[l.DigestsKey(0)] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			a := newAged()
			dead := begin(t, a, "dead")
			dead.send(t, a, nil)
			whole := begin(t, a, "whole")
			whole.send(t, a, nil)
			whole.commit(t, a)
			a.now = a.now.Add(2 * pruneAge)
			damage(a, whole.layout)
			before := len(a.objects)
			if _, err := a.prune(t, pruneAge); err == nil || !strings.Contains(err.Error(), "nothing was removed") || len(a.objects) != before {
				t.Errorf("%d of %d objects left: %v", len(a.objects), before, err)
			}
		})
	}
}

func TestPruneOnlySaysWhatItWouldDo(t *testing.T) {
	a := newAged()
	dead := begin(t, a, "dead")
	dead.send(t, a, nil)
	must(t, a.Put(t.Context(), "base/00/dead/not ours", nil))
	must(t, a.Put(t.Context(), "base/file", nil))
	a.now = a.now.Add(2 * pruneAge)
	before := len(a.objects)
	o := restore.PruneOptions{Bucket: a, Base: "base", Before: a.now.Add(-pruneAge)}
	p, err := restore.Prune(t.Context(), o)
	if want := (restore.Pruned{Runs: 1, Objects: 2, Bytes: 12, Bookkeeping: 2}); err != nil || p != want || len(a.objects) != before {
		t.Errorf("%+v, want %+v; %d of %d objects left: %v", p, want, len(a.objects), before, err)
	}
	o.Remove = true
	if _, err := restore.Prune(t.Context(), o); err != nil || len(a.objects) != before-4 {
		t.Errorf("%d of %d objects left: %v", len(a.objects), before, err)
	}
	for _, key := range []string{"base/00/dead/not ours", "base/file"} {
		if _, there := a.objects[key]; !there {
			t.Errorf("%q was removed", key)
		}
	}
}

// TestPruneLeavesARunThatWentOn has somebody go on with an unfinished run just before it is
// removed.
func TestPruneLeavesARunThatWentOn(t *testing.T) {
	a := newAged()
	w := begin(t, a, "resumed")
	w.send(t, a, nil)
	a.now = a.now.Add(2 * pruneAge)
	first := true
	a.before = func() error {
		if first {
			first = false
			must(t, archive.Plan{Layout: w.layout}.Write(t.Context(), a))
		}
		return nil
	}
	if p, err := a.prune(t, pruneAge); err != nil || p.Objects != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	w.commit(t, a)
	a.wantWhole(t, "resumed")
	if kept, err := restore.Kept(t.Context(), a, w.layout); err != nil || !kept {
		t.Errorf("a run that went on is marked as being removed: %v, %v", kept, err)
	}
}

// TestPruneTakesBackNoOthersMark has a prune find a run going on that another prune, which
// was killed, may have removed in part.
func TestPruneTakesBackNoOthersMark(t *testing.T) {
	a := newAged()
	w := begin(t, a, "resumed")
	w.send(t, a, nil)
	a.now = a.now.Add(2 * pruneAge)
	changes := 0
	a.before = func() error {
		if changes++; changes > 2 { // The mark, and one object.
			return errors.New("killed")
		}
		return nil
	}
	if _, err := a.prune(t, pruneAge); err == nil || changes < 2 {
		t.Fatal("the first prune was not killed")
	}
	first := true
	a.before = func() error {
		if first {
			first = false
			must(t, archive.Plan{Layout: w.layout}.Write(t.Context(), a))
		}
		return nil
	}
	if p, err := a.prune(t, pruneAge); err != nil || p.Objects != 0 || p.Alive != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if kept, err := restore.Kept(t.Context(), a, w.layout); err != nil || kept {
		t.Errorf("a run that was removed in part may be resumed: %v, %v", kept, err)
	}
}

// TestPruneWaitsForRunsUnderWay has a run under way refer to what it has looked up in a run
// whose index is deleted meanwhile, and which refers to an earlier one itself.
func TestPruneWaitsForRunsUnderWay(t *testing.T) {
	a := newAged()
	first := begin(t, a, "first")
	first.send(t, a, nil)
	first.commit(t, a)
	second := begin(t, a, "second")
	second.send(t, a, &first.manifests[0])
	second.send(t, a, nil)
	second.commit(t, a)
	// An object of a finished run that only the run without index refers to.
	first.manifests = nil
	first.send(t, a, &archive.Manifest{Members: []archive.Member{{Path: "skipped", Outcome: archive.Skipped}}})
	first.commit(t, a)
	a.now = a.now.Add(2 * pruneAge)
	under := begin(t, a, "under way")
	delete(a.objects, second.layout.IndexKey())
	before := len(a.objects)
	if p, err := a.prune(t, pruneAge); err != nil || p != (restore.Pruned{Alive: 1, Waiting: 1}) || len(a.objects) != before {
		t.Errorf("%+v, %v; %d of %d objects left", p, err, len(a.objects), before)
	}
	for i := range second.manifests {
		under.send(t, a, &second.manifests[i])
	}
	under.commit(t, a)
	if p, err := a.prune(t, pruneAge); err != nil || p.Runs != 1 || p.Waiting != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	a.wantWhole(t, "under way")
}

// TestPruneFindsLaterWhatIsReferredToNow has a run lose its index while another refers to
// objects of it, and that one lose its index, too.
func TestPruneFindsLaterWhatIsReferredToNow(t *testing.T) {
	a := newAged()
	first := begin(t, a, "first")
	first.send(t, a, nil)
	first.send(t, a, nil)
	first.commit(t, a)
	second := begin(t, a, "second")
	second.send(t, a, &first.manifests[0])
	second.commit(t, a)
	delete(a.objects, first.layout.IndexKey())
	a.now = a.now.Add(2 * pruneAge)
	if p, err := a.prune(t, pruneAge); err != nil || p.Runs != 1 || p.Objects != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	a.wantWhole(t, "second")
	if kept, err := restore.Kept(t.Context(), a, first.layout); err != nil || kept {
		t.Errorf("a run that others refer to may be resumed: %v, %v", kept, err)
	}
	a.now = a.now.Add(2 * pruneAge)
	if p, err := a.prune(t, pruneAge); err != nil || p != (restore.Pruned{}) {
		t.Errorf("again: %+v, %v", p, err)
	}
	delete(a.objects, second.layout.IndexKey())
	if p, err := a.prune(t, pruneAge); err != nil || p.Runs != 2 || len(a.objects) != 0 {
		t.Errorf("in the end: %+v, %v; left: %v", p, err, slices.Sorted(maps.Keys(a.objects)))
	}
}

// TestPruneTakesAnOpenUploadForASignOfLife has a run that has stored nothing for long, and
// has begun a large file since.
func TestPruneTakesAnOpenUploadForASignOfLife(t *testing.T) {
	for name, tc := range map[string]struct {
		begun time.Duration
		alive int64
	}{"young": {-time.Hour, 1}, "old": {-2 * pruneAge, 0}, "unknown": {0, 1}} {
		a := newAged()
		w := begin(t, a, name)
		a.now = a.now.Add(3 * pruneAge)
		u := s3.OpenUpload{Key: w.layout.Key("00", "huge"), UploadID: "1"}
		if tc.begun != 0 {
			u.Initiated = a.now.Add(tc.begun)
		}
		a.uploads = append(a.uploads, u)
		o := restore.PruneOptions{Bucket: a, Base: "base", Before: a.now.Add(-pruneAge)}
		if p, err := restore.Prune(t.Context(), o); err != nil || p.Alive != tc.alive {
			t.Errorf("%s: said %+v, %v", name, p, err)
		}
		p, err := a.prune(t, pruneAge)
		if err != nil || p.Alive != tc.alive || p.Runs != 1-tc.alive || len(a.uploads) != int(tc.alive) {
			t.Errorf("%s: %+v, %v; %d uploads left", name, p, err, len(a.uploads))
		}
	}
}

// TestPruneRemovesNothingWhoseAgeIsUnknown has a server that leaves out when an object was
// stored, which is no sign that it is old.
func TestPruneRemovesNothingWhoseAgeIsUnknown(t *testing.T) {
	a := newAged()
	begin(t, a, "young").send(t, a, nil)
	clear(a.modified)
	before := len(a.objects)
	if p, err := a.prune(t, pruneAge); err == nil || len(a.objects) != before {
		t.Errorf("%+v, %d of %d objects left, error %v", p, len(a.objects), before, err)
	}
}

// TestPruneTrustsNoClockThatIsAhead has a clock by which all that is written now is old.
func TestPruneTrustsNoClockThatIsAhead(t *testing.T) {
	a := newAged()
	begin(t, a, "young").send(t, a, nil)
	before := len(a.objects)
	p, err := restore.Prune(t.Context(), restore.PruneOptions{Bucket: a, Base: "base", Before: a.now.Add(pruneAge), Remove: true})
	if err == nil || len(a.objects) != before {
		t.Errorf("%+v, %d of %d objects left, error %v", p, len(a.objects), before, err)
	}
}
