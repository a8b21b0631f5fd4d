package copy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/report"
	"cargoship.dev/operator/internal/worker"
)

// maxFailures bounds the failures that are kept to be listed.
const maxFailures = 10_000

// Failure is one file that was not copied.
type Failure struct {
	// Path is relative to the source; its bytes need not be UTF-8.
	Path string
	// Reason is a machine-readable word, Message a sentence or empty.
	Reason, Message string
}

// manifestsKept bounds the memory, in bytes, for manifests that are kept to be indexed without
// being read back.
const manifestsKept = 4 << 20

// outcomes takes the manifests that the engine makes, puts them into the bucket and counts
// what they hold. It is the one place that counts. A later attempt at an archive replaces
// an earlier one.
type outcomes struct {
	store archive.Store
	// layout is that of the run.
	layout archive.Layout
	// warn is called with what the run will lack; it may be nil.
	warn func(text string, err error)
	// notKept counts the attributes that are not archived.
	notKept notKept

	mu sync.Mutex
	// ended are the archives that have a manifest, by prefix and number.
	ended map[string][]outcome
	// failures are by archive; kept counts them.
	failures map[archiveID][]Failure
	kept     int
	// manifests are the first that were written, by key; room is what is left of their memory.
	manifests map[string][]byte
	room      int
}

// outcome is what the manifest of an archive holds.
type outcome struct {
	digest archive.Digest
	tally  archive.Tally
	// kept counts the members that were in the bucket already.
	kept int64
	// written: there is a manifest.
	written bool
}

// keep is worker.EngineOptions.Manifests. There is one worker, so the last manifest of an
// archive is the one that counts.
func (o *outcomes) keep(ctx context.Context, key string, m archive.Manifest) (archive.Manifest, error) {
	body, err := m.Encode()
	if err != nil {
		return m, err
	}
	if err := o.store.Put(ctx, key, body); err != nil {
		return m, err
	}
	x := outcome{digest: sha256.Sum256(body), tally: m.Tally(), written: true}
	o.notKept.take(key, m)
	var failed []Failure
	for _, f := range m.Members {
		if f.Kept {
			x.kept++
		}
		if f.Outcome == archive.Failed {
			failed = append(failed, Failure{f.Path, f.Reason, f.Message})
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended == nil {
		o.ended, o.failures = map[string][]outcome{}, map[archiveID][]Failure{}
		o.manifests, o.room = map[string][]byte{}, manifestsKept
	}
	o.remember(key, body)
	list := o.ended[m.Prefix]
	for int64(len(list)) <= m.Number {
		list = append(list, outcome{})
	}
	list[m.Number], o.ended[m.Prefix] = x, list
	o.fail(archiveID{m.Prefix, m.Number}, failed)
	return m, nil
}

// remember keeps a manifest that was written; the caller holds the lock.
func (o *outcomes) remember(key string, body []byte) {
	o.room += len(o.manifests[key])
	delete(o.manifests, key)
	if len(body) <= o.room {
		o.manifests[key], o.room = body, o.room-len(body)
	}
}

// remembering is a store that need not be asked for the manifests that were kept.
type remembering struct {
	archive.Store
	manifests map[string][]byte
}

// Get reads an object.
func (r remembering) Get(ctx context.Context, key string) ([]byte, error) {
	if body, kept := r.manifests[key]; kept {
		return body, nil
	}
	return r.Store.Get(ctx, key)
}

// fail takes in the failures of an archive; the caller holds the lock.
func (o *outcomes) fail(id archiveID, failed []Failure) {
	o.kept -= len(o.failures[id])
	delete(o.failures, id)
	failed = failed[:min(len(failed), maxFailures-o.kept)]
	if len(failed) > 0 {
		o.failures[id] = failed
		o.kept += len(failed)
	}
}

// has says that an archive has a manifest.
func (o *outcomes) has(id archiveID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := o.ended[id.prefix]
	return id.number < int64(len(list)) && list[id.number].written
}

// sum counts what all manifests hold, and how many of their members were kept.
func (o *outcomes) sum() (total archive.Tally, kept int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, list := range o.ended {
		for _, x := range list {
			total, kept = total.Plus(x.tally), kept+x.kept
		}
	}
	return total, kept
}

// none tells whether no file was found.
func (o *outcomes) none() bool {
	total, _ := o.sum()
	return total.Total().Files == 0
}

// commit writes the index, unless an archive that was found has no manifest, or the
// manifests do not add up to what was found. The report is written beside the index, which
// does not wait for it.
func (o *outcomes) commit(ctx context.Context, index archive.Index, planned map[string]found, draft *report.Draft) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []archive.FinishedPrefix
	for _, prefix := range o.layout.Prefixes() {
		want, any := planned[prefix]
		if !any {
			continue
		}
		var tally archive.Tally
		var digests []archive.Digest
		for number, x := range o.ended[prefix] {
			if !x.written {
				return worker.CountsDiffer("archive %d of prefix %q has no manifest", number, prefix)
			}
			tally, digests = tally.Plus(x.tally), append(digests, x.digest)
		}
		if tally.Total() != want.Count || int64(len(digests)) != want.archives {
			return worker.CountsDiffer("%d archives with %v files/bytes of prefix %q were found, %d with %v have a manifest",
				want.archives, want.Count, prefix, len(digests), tally.Total())
		}
		all = append(all, archive.FinishedPrefix{Name: prefix, Planned: want.Count, Outcomes: tally, Digests: digests})
	}
	warn := func(text string, err error) {
		if o.warn != nil {
			o.warn(text, err)
		}
	}
	without := func(err error) { warn(worker.NoPathIndex, err) }
	store := func(ctx context.Context, whole archive.Index) {
		if err := draft.Store(ctx, o.store, whole); err != nil && ctx.Err() == nil {
			warn(worker.NoReport, err)
		}
	}
	hooks := archive.CommitHooks{Without: without, Each: draft.Add, Beside: store}
	if err := index.Commit(ctx, remembering{o.store, o.manifests}, all, hooks); err != nil {
		return fmt.Errorf("finish the run: %w", err)
	}
	return nil
}

// list returns the failures by path.
func (o *outcomes) list() []Failure {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []Failure
	for _, f := range o.failures {
		all = append(all, f...)
	}
	slices.SortFunc(all, func(a, b Failure) int { return cmp.Compare(a.Path, b.Path) })
	return all
}
