package worker

import (
	"net/http"
	"strings"
	"testing"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/s3/s3test"
)

// isManifest reports whether a request reads a manifest.
func isManifest(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }

// A restore of one path reads no manifest, in any of its pods, and its counts add up.
func TestARestoreOfOnePathReadsThePathIndexOnly(t *testing.T) {
	s := startS3(t)
	dir := tarTree(t)
	site := archived(t, s, dir, v1alpha1.PackingTar)
	p := s3test.NewProxy(t, s.Endpoint)
	site.Restore.Spec.From.Location.Endpoint = p.URL
	site.Restore.Spec.From.Include = []string{"d1/e/file 1", "d2"}
	site.Restore.Spec.From.Exclude = []string{"d2/e/file 1*"}
	m := newManager(1, "pod")
	drive(t, openRestore(t, site).Engine("one", 0, false, logTo(t)), m, func(v1alpha1.PrefixLeaseStatus) {})
	if err := site.Finish(t.Context(), FinishOptions{Expect: expect(m)}, logTo(t)); err != nil {
		t.Fatal(err)
	}
	if n := p.Requests(isManifest); n != 0 {
		t.Errorf("%d manifests were read", n)
	}
	want := map[string]string{}
	for name, what := range tree(t, dir) {
		in := name == "d1" || name == "d1/e" || name == "d1/e/file 1" || name == "d2" || strings.HasPrefix(name, "d2/")
		if in && !strings.HasPrefix(name, "d2/e/file 1") {
			want[name] = what
		}
	}
	got := tree(t, site.TargetDir)
	for name := range want {
		if got[name] == "" {
			t.Errorf("%q is missing", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d entries were restored, want %d", len(got), len(want))
	}
	done, failed, skipped := m.totals()
	if failed.files != 0 || done.files == 0 || skipped.files == 0 || done.files+skipped.files > 150 {
		t.Errorf("%d done, %d failed, %d skipped: more was planned than looked up", done.files, failed.files, skipped.files)
	}
}

// Where nothing is selected, or the path index is damaged, the counts add up all the same.
func TestARestoreWithoutAPathIndexReadsTheManifests(t *testing.T) {
	s := startS3(t)
	site := archived(t, s, dressedTree(t), v1alpha1.PackingTar)
	for _, include := range []string{"d1/e/file 1", "no/such/file"} {
		for _, damaged := range []bool{false, true} {
			if damaged {
				damage(t, s, "base/.cargoship/uid-1/paths/")
			}
			site.TargetDir = t.TempDir()
			site.Restore.Spec.From.Include = []string{include}
			m := newManager(1, "pod")
			drive(t, openRestore(t, site).Engine("one", 0, false, logTo(t)), m, func(v1alpha1.PrefixLeaseStatus) {})
			if err := site.Finish(t.Context(), FinishOptions{Expect: expect(m)}, logTo(t)); err != nil {
				t.Errorf("%s, damaged: %t: %v", include, damaged, err)
			}
			done, failed, _ := m.totals()
			if failed.files != 0 || (include == "d1/e/file 1") != (done.files > 0) {
				t.Errorf("%s, damaged: %t: %d done, %d failed", include, damaged, done.files, failed.files)
			}
		}
	}
}

// A pod that can't read the path index restores nothing else in place of what another has planned.
func TestPodsThatDisagreeMixNothingUp(t *testing.T) {
	s := startS3(t)
	site := archived(t, s, dressedTree(t), v1alpha1.PackingTar)
	site.Restore.Spec.From.Include = []string{"d1/e/file 1"}
	planner := openRestore(t, site)
	damage(t, s, "base/.cargoship/uid-1/paths/")
	other := openRestore(t, site)
	for _, x := range planner.route.prefixes {
		if x.Archives == 0 {
			continue
		}
		if _, err := planner.archive(t.Context(), x.Name, 0); err != nil {
			t.Errorf("the planner: %v", err)
		}
		_, err := other.archive(t.Context(), x.Name, 0)
		if v := verdictOf(err); err == nil || v.reason != v1alpha1.ReasonRunUnreadable {
			t.Errorf("the other: %v", err)
		}
	}
}
