package restore_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/archive"
)

// TestPruneKeepsWhatIsReferredTo has random runs that end, are killed or go on slowly, refer
// to earlier ones, and prunes that are cut short. Every finished run stays whole, every run
// that goes on can end whole, and what is left of dead ones goes.
func TestPruneKeepsWhatIsReferredTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &runs{bucket: newAged(), alive: map[string]*writing{}, finished: map[string]*writing{}}
		t.Repeat(map[string]func(*rapid.T){
			"":                r.wantWhole,
			"begin":           r.begin,
			"send":            r.send,
			"commit":          r.commit,
			"kill":            r.kill,
			"wait":            r.wait,
			"prune":           r.prune,
			"prune cut short": r.pruneCutShort,
		})
		for _, id := range slices.Sorted(maps.Keys(r.alive)) {
			r.finish(t, r.alive[id])
		}
		r.bucket.now = r.bucket.now.Add(2 * pruneAge)
		r.prune(t)
		r.wantWhole(t)
		r.wantNothingElse(t)
	})
}

// runs are those of one bucket.
type runs struct {
	bucket          *aged
	begun           int
	alive, finished map[string]*writing
	last            *writing // that was finished
}

// some is a run that goes on, a new one if there is none.
func (r *runs) some(t *rapid.T) *writing {
	if len(r.alive) == 0 {
		r.begin(t)
	}
	return r.alive[rapid.SampledFrom(slices.Sorted(maps.Keys(r.alive))).Draw(t, "run")]
}

func (r *runs) begin(t *rapid.T) {
	id := fmt.Sprintf("run-%d", r.begun)
	r.begun++
	r.alive[id] = begin(t, r.bucket, id)
}

func (r *runs) send(t *rapid.T) {
	w := r.some(t)
	var earlier *archive.Manifest
	if r.last != nil && len(w.manifests) < len(r.last.manifests) && rapid.Bool().Draw(t, "refer") {
		earlier = &r.last.manifests[len(w.manifests)]
	}
	w.send(t, r.bucket, earlier)
}

func (r *runs) commit(t *rapid.T) { r.finish(t, r.some(t)) }

func (r *runs) finish(t *rapid.T, w *writing) {
	w.commit(t, r.bucket)
	r.last, r.finished[w.layout.UID] = w, w
	delete(r.alive, w.layout.UID)
}

func (r *runs) kill(t *rapid.T) { delete(r.alive, r.some(t).layout.UID) }

// wait lets hours pass, in which a run that goes on stores something.
func (r *runs) wait(t *rapid.T) {
	r.bucket.now = r.bucket.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "hours")) * time.Hour)
	for _, id := range slices.Sorted(maps.Keys(r.alive)) {
		r.alive[id].send(t, r.bucket, nil)
	}
}

func (r *runs) prune(t *rapid.T) {
	_, err := r.bucket.prune(t, pruneAge)
	must(t, err)
}

func (r *runs) pruneCutShort(t *rapid.T) {
	changes := rapid.IntRange(0, 10).Draw(t, "changes")
	r.bucket.before = func() error {
		if changes--; changes < 0 {
			return errors.New("killed")
		}
		return nil
	}
	_, _ = r.bucket.prune(t, pruneAge) // It fails or not.
	r.bucket.before = func() error { return nil }
}

// wantWhole fails unless every finished run can be had whole.
func (r *runs) wantWhole(t *rapid.T) {
	for _, id := range slices.Sorted(maps.Keys(r.finished)) {
		r.bucket.wantWhole(t, id)
	}
}

// wantNothingElse fails unless every object is of a finished run.
func (r *runs) wantNothingElse(t *rapid.T) {
	for key := range r.bucket.objects {
		ofRun := func(id string) bool { return strings.Contains(key, "/"+id+"/") }
		if !slices.ContainsFunc(slices.Collect(maps.Keys(r.finished)), ofRun) {
			t.Fatalf("%s is left of a run that was killed", key)
		}
	}
}
