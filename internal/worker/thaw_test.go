package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/lab/labtest"
)

// frozen is a restore of a directory whose archives are in Glacier.
func frozen(t *testing.T, dir string, format v1alpha1.PackingFormat, maxCost string) (*lab.Glacier, RestoreSite) {
	t.Helper()
	s := startS3(t)
	site := archived(t, s, dir, format)
	g := &lab.Glacier{Class: "GLACIER", Archived: func(_, key string) bool { return !strings.Contains(key, ".cargoship/") }}
	site.Restore.Spec.From.Location.Endpoint = labtest.NewGlacier(t, s.Endpoint, g)
	most := resource.MustParse(maxCost)
	site.Restore.Spec.Thaw = &v1alpha1.Thaw{Tier: v1alpha1.ThawStandard, Days: 7, MaxCost: &most}
	site.ThawPoll = 20 * time.Millisecond
	return g, site
}

// tarTree is a tree of several archives and of an object of its own.
func tarTree(t *testing.T) string {
	t.Helper()
	dir := dressedTree(t)
	write(t, dir, "zzz", make([]byte, 17<<20))
	for i := range 40 {
		write(t, dir, "more/"+strings.Repeat("n", i+1), make([]byte, 1000*i))
	}
	return dir
}

// A restore asks once for what it needs, tells what that costs, and restores each archive as
// soon as it can be read.
func TestARestoreThaws(t *testing.T) {
	for _, format := range []v1alpha1.PackingFormat{v1alpha1.PackingTar, v1alpha1.PackingObjects} {
		dir := tarTree(t)
		g, site := frozen(t, dir, format, "1")
		if format == v1alpha1.PackingObjects {
			site.Restore.Spec.Attributes = v1alpha1.AttributesBestEffort
		}
		m := newManager(1, "pod")
		var told string
		some, rounds := 0, 0
		drive(t, openRestore(t, site).Engine("one", 0, false, logTo(t)), m, func(r v1alpha1.PrefixLeaseStatus) {
			for _, c := range r.Conditions {
				if c.Type == v1alpha1.LeaseConditionThawing && c.Message != "" {
					told = c.Message
				}
			}
			if len(m.ended) > 0 && !m.complete {
				some = len(m.ended) // archives were restored while others were being thawed
			}
			if asked := g.Asked(); len(asked) > 0 {
				half := map[string]bool{}
				for _, name := range asked[:1+len(asked)/2] {
					half[strings.Fields(name)[0]] = true
				}
				rounds++
				all := some > 0 || rounds > 60
				g.Thaw(func(name string) bool { return all || half[strings.Fields(name)[0]] })
			}
		})
		if err := site.Finish(t.Context(), FinishOptions{Expect: expect(m)}, logTo(t)); err != nil {
			t.Fatal(err)
		}
		if _, failed, _ := m.totals(); failed.files != 0 {
			t.Errorf("%s: %d files failed: %+v", format, failed.files, m.ended)
		}
		if !strings.Contains(told, "GLACIER in tier Standard for 7 days: about ") {
			t.Errorf("%s: the lease says %q", format, told)
		}
		if diff := cmp.Diff(contents(tree(t, dir)), contents(tree(t, site.TargetDir))); diff != "" {
			t.Errorf("%s: the target differs from the source (-source +target):\n%.4000s", format, diff)
		}
		if format == v1alpha1.PackingTar && some == 0 {
			t.Error("nothing was restored before everything was thawed")
		}
		if asked := g.Asked(); len(asked) == 0 || !strings.HasSuffix(asked[0], " Standard 7") {
			t.Errorf("%s: asked for %q", format, asked)
		}
	}
}

// contents keeps of a tree what all formats archive.
func contents(all map[string]string) map[string]string {
	kept := map[string]string{}
	for name, what := range all {
		if strings.HasPrefix(what, "-") {
			kept[name] = what
		}
	}
	delete(kept, "d2/same") // with packing Objects a file of its own, with its own time
	delete(kept, "d1/link") // and this one, too
	return kept
}

// Nothing is asked for that costs more than is allowed, and the cost is told.
func TestAThawTooExpensiveIsNotBegun(t *testing.T) {
	for _, most := range []string{"0", "1u"} {
		g, site := frozen(t, tarTree(t), v1alpha1.PackingTar, most)
		_, err := openRestore(t, site).plan(t.Context(), nil)
		if v := verdictOf(err); err == nil || v.reason != v1alpha1.ReasonThawTooExpensive || !strings.Contains(v.message, "USD") {
			t.Errorf("maxCost %s: %v", most, err)
		}
		if asked := g.Asked(); len(asked) > 0 {
			t.Errorf("maxCost %s: asked for %q", most, asked)
		}
	}
}

// What is there already, or not selected, is not thawed.
func TestOnlyWhatIsNeededIsThawed(t *testing.T) {
	dir := tarTree(t)
	g, site := frozen(t, dir, v1alpha1.PackingObjects, "1")
	site.Restore.Spec.From.Include = []string{"d1/e/file 1", "d2/e/file 2"}
	p := openRestore(t, site)
	from, err := os.ReadFile(filepath.Join(dir, "d2/e/file 2"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, site.TargetDir, "d2/e/file 2", from)
	at := stat(t, dir, "d2/e/file 2").ModTime()
	if err := os.Chtimes(filepath.Join(site.TargetDir, "d2/e/file 2"), at, at); err != nil {
		t.Fatal(err)
	}
	sum, err := p.thaw.thawer.Survey(t.Context(), p.route.manifests(t.Context()))
	if err != nil || sum.Classes["GLACIER"].Objects != 1 {
		t.Errorf("%+v has to be thawed, %v; want the object of one file", sum, err)
	}
	if len(g.Asked()) > 0 {
		t.Errorf("a survey asked for %q", g.Asked())
	}
}

// What freezes again before it is read is not waited for, nor paid for again: its files fail.
func TestWhatFreezesAgainFails(t *testing.T) {
	g, site := frozen(t, tarTree(t), v1alpha1.PackingTar, "1")
	p := openRestore(t, site)
	m, err := p.route.manifest(t.Context(), p.route.prefixes[0].Name, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ready, err := p.thaw.await(t.Context(), m); !ready || err != nil {
		t.Errorf("an archive that is frozen again: %v, %v", ready, err)
	}
	members, err := p.session.Archive(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for _, f := range members {
		if f.Outcome == archive.Failed && f.Reason == s3.ReasonObjectFrozen {
			failed++
		}
	}
	if failed == 0 || len(g.Asked()) > 0 {
		t.Errorf("%d files failed, asked for %q: %+v", failed, g.Asked(), members)
	}
}

// A server that can't thaw, or one that says no, holds the restore with a reason.
func TestAServerThatCannotThawBlocks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/one", []byte("archived"))
	_, site := frozen(t, dir, v1alpha1.PackingTar, "1")
	site.Restore.Spec.Thaw.Tier = "Express"
	_, err := openRestore(t, site).plan(t.Context(), nil)
	if v := verdictOf(err); v.reason != v1alpha1.ReasonThawUnavailable {
		t.Errorf("a tier without a price: %v", err)
	}
}
