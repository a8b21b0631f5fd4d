package restore_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// indexed packs a directory into a bucket in memory, over a number of prefixes, with digests and
// a path index.
func indexed(tb testing.TB, dir string, t archive.Tar, prefixes int) *bucket {
	tb.Helper()
	source, err := archive.OpenSource(dir, "")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	l := archive.Layout{Base: "base", Pattern: archive.Hash, Count: prefixes, UID: "uid", Tar: &t}
	b := &bucket{objects: map[string][]byte{}}
	tallies, digests := map[string]archive.Tally{}, map[string][]archive.Digest{}
	_, err = source.Walk(tb.Context(), archive.WalkOptions{Layout: l}, func(a archive.Archive) error {
		m := b.pack(tb, source, l, a)
		body, err := m.Encode()
		b.objects[l.ManifestKey(l.Index(a.Prefix), a.Number)] = body
		tallies[a.Prefix] = tallies[a.Prefix].Plus(m.Tally())
		digests[a.Prefix] = append(digests[a.Prefix], sha256.Sum256(body))
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	index := archive.Index{Transfer: "uid", Name: "name", Written: time.Now(), Layout: l}
	for _, prefix := range slices.Sorted(maps.Keys(digests)) {
		if err := index.AddPrefixes(tb.Context(), b, archive.FinishedPrefix{Name: prefix, Planned: tallies[prefix].Total(), Outcomes: tallies[prefix], Digests: digests[prefix]}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := errors.Join(index.AddPaths(tb.Context(), b, digests), index.Write(tb.Context(), b)); err != nil {
		tb.Fatal(err)
	}
	return b
}

// withoutPaths is a catalog of the same run by somebody who knows no path index.
func withoutPaths(t *testing.T, b *bucket) *restore.Catalog {
	c := catalog(t, b)
	c.Index.Paths = nil
	return c
}

func restored(t *testing.T, o restore.Options) restore.Summary {
	t.Helper()
	s, err := restore.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// branched is a tree of several archives over several prefixes.
func branched(t *testing.T) string {
	dir := sample(t)
	for i := range 40 {
		write(t, dir, fmt.Sprintf("d1/deep/er/g%02d", i), 30_000)
		write(t, dir, fmt.Sprintf("d1/deep-er/g%02d", i), 10_000)
		write(t, dir, fmt.Sprintf("d1/odd[%d]", i), 10)
	}
	if err := errors.Join(
		os.Link(filepath.Join(dir, "d1/deep/er/g01"), filepath.Join(dir, "zz-linked")),
		os.Link(filepath.Join(dir, "d1/deep/er/g02"), filepath.Join(dir, "d1/deep/er/zz-linked")),
		os.Chmod(filepath.Join(dir, "d1/deep"), 0o711),
		os.Chtimes(filepath.Join(dir, "d1/deep"), time.Time{}, time.Unix(1e9, 5)),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}

func selections() map[string]restore.Selection {
	return map[string]restore.Selection{
		"a file":               {"d1/f01"},
		"a deep file":          {"d1/deep/er/g07"},
		"a directory":          {"d1/deep"},
		"a part of names":      {"d1/deep/er/g0*"},
		"below":                {"d1/**/g03"},
		"an escape":            {`d1/odd\[7\]`},
		"a class":              {"d1/odd[[]7*"},
		"several":              {"d2", "d1/deep/er/g07", "d1/deep", "sparse", "d0/f0*", "nothing"},
		"a hard link":          {"zz-linked"},
		"a hard link, in it":   {"d1/deep/er"},
		"a symbolic link":      {"d1/link"},
		"the large one":        {"large"},
		"nothing":              {"d1/nothing"},
		"no fixed beginning":   {"**/g01"},
		"everything":           nil,
		"a name and the other": {"d1/deep*"},
	}
}

// TestSelectionsByThePathIndex restores the same by the index as by all manifests.
func TestSelectionsByThePathIndex(t *testing.T) {
	dir := branched(t)
	b := indexed(t, dir, zstd(), 3)
	for name, selection := range selections() {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			want := restored(t, restore.Options{Catalog: withoutPaths(t, b), Dir: to, Selection: selection})
			for _, gather := range []int{0, 1, 7} {
				c, here := catalog(t, b), t.TempDir()
				c.Gather(gather)
				got := restored(t, restore.Options{Catalog: c, Dir: here, Selection: selection})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("gathering %d (-want +got):\n%s", gather, diff)
				}
				if diff := cmp.Diff(describe(t, to), describe(t, here)); diff != "" {
					t.Errorf("gathering %d (-want +got):\n%s", gather, diff)
				}
				if len(c.Warnings) > 0 {
					t.Error(c.Warnings)
				}
			}
		})
	}
}

// TestADamagedPathIndexCostsNothing has any one block of the index damaged or gone.
func TestADamagedPathIndexCostsNothing(t *testing.T) {
	dir := branched(t)
	b := indexed(t, dir, zstd(), 3)
	c := catalog(t, b)
	key := c.Index.Layout.PathsKey(0, 0)
	whole := b.objects[key]
	for name, damage := range map[string]func(){
		"changed": func() {
			changed := slices.Clone(whole)
			changed[len(changed)/2] ^= 1
			b.objects[key] = changed
		},
		"gone": func() { delete(b.objects, key) },
	} {
		t.Run(name, func(t *testing.T) {
			damage()
			for _, selection := range []restore.Selection{{"d1/deep"}, {"zz-linked"}, {"d1/odd[7]"}} {
				to, here := t.TempDir(), t.TempDir()
				plain := withoutPaths(t, b)
				resolved, err := plain.Resolve(t.Context(), selection)
				if err != nil {
					t.Fatal(err)
				}
				want := restored(t, restore.Options{Catalog: plain, Dir: to, Selection: resolved})
				c := catalog(t, b)
				if resolved, err = c.Resolve(t.Context(), selection); err != nil {
					t.Fatal(err)
				}
				got := restored(t, restore.Options{Catalog: c, Dir: here, Selection: resolved})
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(describe(t, to), describe(t, here)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if len(c.Warnings) == 0 || !strings.Contains(c.Warnings[0], "path index") {
					t.Errorf("warnings %q", c.Warnings)
				}
			}
			if v, err := verify(t, b, false); err != nil || v.Wrong != 1 || !strings.Contains(v.Failures[0].Path, "/paths/") {
				t.Errorf("verify: %+v %v, %v", v, v.Failures, err)
			}
		})
	}
	b.objects[key] = whole
	if v, err := verify(t, b, true); err != nil || v.Wrong != 0 {
		t.Errorf("undamaged: %+v %v, %v", v, v.Failures, err)
	}
}

// What a pod finds selected is what every other does, so that a server that can't answer is no reason to
// do without the path index.
func TestASelectionIsNotPickedWithoutAnAnswer(t *testing.T) {
	b := indexed(t, branched(t), zstd(), 3)
	c := catalog(t, b)
	for name, want := range map[string]struct {
		refusal    error
		ok, failed bool
	}{
		"sound":      {nil, true, false},
		"gone":       {s3.ErrNotFound, false, false},
		"unanswered": {&s3.Error{Class: s3.Transient, Reason: s3.ReasonServerError, Err: errors.New("InternalError")}, false, true},
	} {
		b.refuses = map[string]error{c.Index.Layout.PathsKey(0, 0): want.refusal}
		_, ok, err := catalog(t, b).Pick(t.Context(), restore.Selection{"d1/deep"}, 1000)
		if ok != want.ok || (err != nil) != want.failed {
			t.Errorf("%s: picked %v, %v", name, ok, err)
		}
	}
}

// TestOneFileOfManyTakesFewRequests reads no manifest, whatever there is.
func TestOneFileOfManyTakesFewRequests(t *testing.T) {
	dir := t.TempDir()
	for i := range 5000 {
		write(t, dir, fmt.Sprintf("d%02d/some/file-%05d", i/100, i), 40)
	}
	b := indexed(t, dir, zstd(), 4)
	for key := range b.objects {
		if strings.Contains(key, "/manifests/") || strings.Contains(key, "/digests/") {
			delete(b.objects, key)
		}
	}
	b.gets, b.read = 0, nil
	to := t.TempDir()
	s := restored(t, restore.Options{Catalog: catalog(t, b), Dir: to, Selection: restore.Selection{"d17/some/file-01723"}})
	if s.Files != 1 || s.Failed > 0 {
		t.Fatalf("%+v %v", s, s.Failures)
	}
	var read int64
	for _, n := range b.read {
		read += n
	}
	// Two blocks of the index and a frame, beside the list of runs and the index of this one.
	if b.gets > 3 || read > 1<<20 {
		t.Errorf("%d ranges, %d bytes", b.gets, read)
	}
	for _, p := range []string{"d17/some/file-01723", "d17/some", "d17"} {
		if want := describe(t, dir)[p]; describe(t, to)[p] != want {
			t.Errorf("%q is %q, want %q", p, describe(t, to)[p], want)
		}
	}
}

// TestASelectionIsLookedUpOnce has it looked up as a command does: for a path that looks like a pattern, for the
// room there is, and for what it takes.
func TestASelectionIsLookedUpOnce(t *testing.T) {
	dir := t.TempDir()
	for i := range 5000 {
		write(t, dir, fmt.Sprintf("d%02d/some/file-%05d", i/100, i), 40)
	}
	b := indexed(t, dir, zstd(), 4)
	c := catalog(t, b)
	b.gets, b.read = 0, nil
	for range 3 {
		s, err := c.Resolve(t.Context(), restore.Selection{"d17/some/*23"})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for m, err := range c.Select(t.Context(), s) {
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range m.Members {
				if f.Kind == archive.File {
					found++
				}
			}
		}
		if found == 0 {
			t.Error("nothing was found")
		}
	}
	if b.gets > 3 { // one of the upper level and two below it, where the directory is in two
		t.Errorf("%d ranges were read for what is looked up six times", b.gets)
	}
}

// TestASelectionComesInOneOrder looks the same up again and again.
func TestASelectionComesInOneOrder(t *testing.T) {
	b := indexed(t, branched(t), zstd(), 5)
	var want []string
	for range 20 {
		var got []string
		for m, err := range catalog(t, b).Select(t.Context(), restore.Selection{"d1/deep*", "d0"}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(m.Prefix, m.Number))
		}
		if want == nil {
			want = got
		}
		if len(got) < 4 || !slices.Equal(want, got) {
			t.Fatalf("first %q, then %q", want, got)
		}
	}
}
