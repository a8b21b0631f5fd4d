package copy

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"cargoship.dev/operator/internal/archive"
)

// maxFailures bounds the failures that are kept to be listed.
const maxFailures = 10_000

// Failure tells of one file that was not copied.
type Failure struct {
	// Path is relative to the source; its bytes need not be UTF-8.
	Path string
	// Reason is a machine-readable word, Message a sentence or empty.
	Reason, Message string
}

// outcomes takes the manifests that the engine makes and keeps what they say of
// failed files. A later attempt at an archive replaces an earlier one.
type outcomes struct {
	// store is where the manifests go; nil keeps none, since the objects that stand
	// for one file each tell all that a manifest would.
	store func(ctx context.Context, key string, m archive.Manifest) error
	// notKept counts the attributes that are not archived.
	notKept notKept

	mu sync.Mutex
	// same counts the members that were kept, by key of the manifest.
	same     map[string]int64
	failures map[string][]Failure // by key of the manifest
	kept     int
}

// keep is worker.EngineOptions.Manifests.
func (o *outcomes) keep(ctx context.Context, key string, m archive.Manifest) error {
	if o.store != nil {
		if err := o.store(ctx, key, m); err != nil {
			return err
		}
	}
	o.notKept.take(key, m, o.store != nil)
	var failed []Failure
	var same int64
	for _, f := range m.Members {
		if f.Kept {
			same++
		}
		if f.Outcome == archive.Failed {
			failed = append(failed, Failure{f.Path, f.Reason, f.Message})
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.same == nil {
		o.same = map[string]int64{}
	}
	if same > 0 || o.same[key] > 0 {
		o.same[key] = same
	}
	o.kept -= len(o.failures[key])
	delete(o.failures, key)
	failed = failed[:min(len(failed), maxFailures-o.kept)]
	if len(failed) == 0 {
		return nil
	}
	if o.failures == nil {
		o.failures = map[string][]Failure{}
	}
	o.failures[key] = failed
	o.kept += len(failed)
	return nil
}

// keptFiles counts the files that stood already.
func (o *outcomes) keptFiles() (sum int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.same {
		sum += n
	}
	return sum
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
