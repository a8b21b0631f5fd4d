package worker

import (
	"errors"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/test/kit"
)

// moved is a transfer all of whose archives are sent.
type moved struct {
	site     Site
	server   *kit.S3
	place    *Place
	layout   archive.Layout
	finished []v1alpha1.FinishedArchive
	expected Expected
}

func move(t *testing.T) *moved {
	t.Helper()
	s := startS3(t)
	dir, _ := makeTree(t)
	x := &moved{site: siteAt(t, s, dir), server: s}
	x.place = open(t, x.site)
	m := newManager(1, "pod")
	drive(t, x.place.Engine("one", 0, false, logTo(t)), m, func(v1alpha1.PrefixLeaseStatus) {})
	plan, _, err := archive.ReadPlan(t.Context(), x.place.client, x.place.layout)
	if err != nil {
		t.Fatal(err)
	}
	x.layout = plan.Layout
	for _, p := range plan.Prefixes {
		x.expected.Planned = x.expected.Planned.Plus(archive.Count{Files: p.Files, Bytes: p.Bytes})
	}
	for _, f := range m.ended {
		x.finished = append(x.finished, f)
	}
	done, failed, skipped := m.totals()
	x.expected.Done = archive.Count{Files: done.files, Bytes: done.bytes}
	x.expected.Failed = archive.Count{Files: failed.files, Bytes: failed.bytes}
	x.expected.Skipped = archive.Count{Files: skipped.files, Bytes: skipped.bytes}
	return x
}

// manifestOf is the key of an archive that has files that are done.
func (x *moved) manifestOf(t *testing.T) (string, v1alpha1.FinishedArchive) {
	t.Helper()
	for _, f := range x.finished {
		if f.Done != nil && f.Failed == nil && f.Skipped == nil {
			return x.layout.ManifestKey(x.layout.Index(f.Prefix), *f.Number), f
		}
	}
	t.Fatal("no archive is done")
	return "", v1alpha1.FinishedArchive{}
}

func (x *moved) put(t *testing.T, key string, body []byte) {
	t.Helper()
	if err := x.place.client.Put(t.Context(), key, body); err != nil {
		t.Fatal(err)
	}
}

func (x *moved) remove(t *testing.T, key string) {
	t.Helper()
	if err := s3Client(t, x.server).RemoveObject(t.Context(), testBucket, key, minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// index returns the index, nil if there is none.
func (x *moved) index(t *testing.T) *archive.Index {
	t.Helper()
	body, err := x.place.client.Get(t.Context(), x.layout.IndexKey())
	if err != nil {
		return nil
	}
	index, err := archive.DecodeIndex(body)
	if err != nil {
		t.Fatal(err)
	}
	return &index
}

func (x *moved) wantDiffer(t *testing.T, o FinishOptions, words ...string) {
	t.Helper()
	err := x.site.Finish(t.Context(), o, logTo(t))
	if _, differ := errors.AsType[*CountsDifferError](err); !differ {
		t.Errorf("Finish: %v, want counts that differ", err)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	if x.index(t) != nil {
		t.Error("an index was written although the counts differ")
	}
}

// String returns the count of a name.
func (e Expected) String(name string) string {
	return map[string]archive.Count{"planned": e.Planned, "done": e.Done, "skipped": e.Skipped}[name].String()
}

func TestFinishConserves(t *testing.T) {
	x := move(t)
	for name, change := range map[string]func(*Expected){
		"planned": func(e *Expected) { e.Planned.Bytes-- },
		"done":    func(e *Expected) { e.Done.Files++ },
		"skipped": func(e *Expected) { e.Skipped.Files++ },
	} {
		t.Run(name, func(t *testing.T) {
			e := x.expected
			change(&e)
			x.wantDiffer(t, FinishOptions{Expect: &e}, e.String(name), x.expected.String(name))
		})
	}
	if err := x.site.Finish(t.Context(), FinishOptions{Expect: &x.expected}, logTo(t)); err != nil {
		t.Fatal(err)
	}
	var sum archive.Tally
	for _, p := range x.index(t).Prefixes {
		sum = sum.Plus(*p.Outcomes)
		if p.Outcomes.Total() != (archive.Count{Files: p.Files, Bytes: p.Bytes}) {
			t.Errorf("prefix %q has %+v of %d files and %d bytes", p.Name, *p.Outcomes, p.Files, p.Bytes)
		}
	}
	if want := (archive.Tally{Done: x.expected.Done, Failed: x.expected.Failed, Skipped: x.expected.Skipped}); sum != want {
		t.Errorf("the index counts %+v, want %+v", sum, want)
	}
}

func TestFinishRefusesWhatDoesNotAddUp(t *testing.T) {
	x := move(t)
	key, f := x.manifestOf(t)
	whole, err := x.place.client.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	m, err := archive.DecodeManifest(whole)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*archive.Manifest){
		"no members":       func(m *archive.Manifest) { m.Members = nil },
		"a member less":    func(m *archive.Manifest) { m.Members = m.Members[1:] },
		"another transfer": func(m *archive.Manifest) { m.Transfer = "other" },
		"another number":   func(m *archive.Manifest) { m.Number++ },
	} {
		t.Run(name, func(t *testing.T) {
			changed := m
			change(&changed)
			body, err := changed.Encode()
			if err != nil {
				t.Fatal(err)
			}
			x.put(t, key, body)
			x.wantDiffer(t, FinishOptions{}, key)
		})
	}
	t.Run("no JSON", func(t *testing.T) {
		x.put(t, key, []byte("no manifest"))
		x.wantDiffer(t, FinishOptions{}, key)
	})
	t.Run("no manifest, but counted as done", func(t *testing.T) {
		x.remove(t, key)
		x.wantDiffer(t, FinishOptions{Expect: &x.expected}, x.expected.Done.String())
	})
	t.Run("no manifest, and counted as failed", func(t *testing.T) {
		e := x.expected
		lost := archive.Count{Files: *f.Done.Files, Bytes: *f.Done.Bytes}
		e.Done = archive.Count{Files: e.Done.Files - lost.Files, Bytes: e.Done.Bytes - lost.Bytes}
		e.Failed = e.Failed.Plus(lost)
		if err := x.site.Finish(t.Context(), FinishOptions{Expect: &e}, logTo(t)); err != nil {
			t.Fatal(err)
		}
		body, err := x.place.client.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		m, err := archive.DecodeManifest(body)
		if err != nil {
			t.Fatal(err)
		}
		wantLost(t, m, lost)
	})
}

// wantLost compares the manifest of an archive that was lost with what it was to hold.
func wantLost(t *testing.T, m archive.Manifest, lost archive.Count) {
	t.Helper()
	if found := m.Tally(); found.Failed != lost || found.Done.Files != 0 {
		t.Errorf("the manifest of the lost archive counts %+v, want %v failed", found, lost)
	}
	for _, member := range m.Members {
		if member.Outcome == archive.Failed && member.Reason != reasonAttemptsExhausted {
			t.Errorf("%s failed for %q", member.Path, member.Reason)
		}
	}
}

func TestFinishOfAnIncompletePlan(t *testing.T) {
	x := move(t)
	plan, _, err := archive.ReadPlan(t.Context(), x.place.client, x.layout)
	if err != nil {
		t.Fatal(err)
	}
	plan.Complete, plan.Prefixes = false, nil
	body, err := plan.Encode()
	if err != nil {
		t.Fatal(err)
	}
	x.put(t, x.layout.PlanKey(), body)
	for _, f := range x.finished {
		x.remove(t, x.layout.ManifestKey(x.layout.Index(f.Prefix), *f.Number))
	}
	x.wantDiffer(t, FinishOptions{}, "plan is not complete")

	e := Expected{Planned: x.expected.Planned}
	if err := x.site.Finish(t.Context(), FinishOptions{Partial: true, Expect: &e}, logTo(t)); err != nil {
		t.Fatal(err)
	}
	index := x.index(t)
	if !index.Partial {
		t.Error("the index does not say that the transfer is partial")
	}
	for _, p := range index.Prefixes {
		if p.Outcomes.Done.Files != 0 || p.Outcomes.Total().Files != p.Files {
			t.Errorf("prefix %q: %+v of %d files", p.Name, *p.Outcomes, p.Files)
		}
	}
}
