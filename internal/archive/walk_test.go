package archive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oddTree has files, links that lead everywhere, a pipe, a socket and directories without files.
func oddTree(t *testing.T) *Source {
	t.Helper()
	dir, s := tree(t, map[string]int64{"plain": 10, "empty": 0, "d/inner": 5, "name\xff": 7})
	links := map[string]string{
		"to-file":     "d/inner",
		"d/up":        "../plain",
		"to-dir":      "d",
		"dangling":    "absent",
		"through":     "plain/x",
		"loop":        "loop",
		"out":         "../../etc/passwd",
		"out-dir":     "/etc",
		"out-nowhere": "/absent",
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { release(listener) })
	if err := os.MkdirAll(filepath.Join(dir, "hollow", "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWalkOddEntries(t *testing.T) {
	type verdict struct {
		Size            int64
		Skipped, Failed string
	}
	want := map[string]verdict{
		"plain":       {Size: 10},
		"empty":       {},
		"d/inner":     {Size: 5},
		"name\xff":    {Failed: ReasonNameNotUTF8},
		"to-file":     {Size: 5},
		"d/up":        {Size: 10},
		"to-dir":      {Skipped: ReasonLinkToDirectory},
		"dangling":    {Skipped: ReasonDanglingLink},
		"through":     {Skipped: ReasonDanglingLink},
		"loop":        {Skipped: ReasonDanglingLink},
		"out":         {Skipped: ReasonLinkOutsideSource},
		"out-dir":     {Skipped: ReasonLinkOutsideSource},
		"out-nowhere": {Skipped: ReasonLinkOutsideSource},
		"pipe":        {Skipped: ReasonNamedPipe},
		"socket":      {Skipped: ReasonSocket},
	}
	archives, totals := walk(t, oddTree(t), WalkOptions{Layout: mirror(".", "d", "*")})
	got := map[string]verdict{}
	for p, e := range entries(archives) {
		got[p] = verdict{e.Size, e.Skipped, e.Failed}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	wantTotals := Totals{Archives: 2, Files: 15, Skipped: 9, Failed: 1, Bytes: 30, Directories: 5}
	if totals != wantTotals {
		t.Errorf("totals %+v, want %+v", totals, wantTotals)
	}
}

func TestWalkRecordsModeAndTime(t *testing.T) {
	dir, s := tree(t, map[string]int64{"f": 1})
	if err := os.Chmod(filepath.Join(dir, "f"), 0o640|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	archives, _ := walk(t, s, WalkOptions{Layout: mirror("*")})
	e := archives[0].Entries[0]
	if e.Mode != 0o640|os.ModeSetgid || !e.ModTime.Equal(time.Unix(1_700_000_000, 123)) {
		t.Errorf("mode %v, time %v", e.Mode, e.ModTime)
	}
}

func TestWalkGoesOnPastAnUnreadableDirectory(t *testing.T) {
	dir, s := tree(t, map[string]int64{"a/f": 1, "b/f": 1, "c/f": 1})
	for p, mode := range map[string]os.FileMode{"": 0o755, "b": 0} {
		if err := os.Chmod(filepath.Join(dir, p), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "b"), 0o755) })
	for l, want := range map[*Layout]int{new(mirror("*")): 3, new(tarLayout(Plain)): 5} {
		asNobody(t, func() {
			archives, totals := walk(t, s, WalkOptions{Layout: *l})
			all := entries(archives)
			if totals.Files != int64(want) || len(all) != want || all["b"].Failed != ReasonUnreadable || !all["a/f"].Sendable() || !all["c/f"].Sendable() {
				t.Errorf("entries %+v, totals %+v", all, totals)
			}
		})
	}
}

func TestWalkFailsWhenTheSourceIsUnreadable(t *testing.T) {
	dir, s := tree(t, map[string]int64{"f": 1})
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	asNobody(t, func() {
		_, err := s.Walk(t.Context(), WalkOptions{Layout: mirror("*")}, func(Archive) error { return nil })
		if err == nil {
			t.Error("no error")
		}
	})
}

func TestWalkBatches(t *testing.T) {
	files := map[string]int64{"big": 0}
	for i := range 10 {
		files[fmt.Sprintf("a/%02d", i)] = 10
	}
	files["a/04x"] = 90
	files["b/0"], files["b/1"], files["b/2"] = 60, 60, 30
	_, s := tree(t, files)
	archives, _ := walk(t, s, WalkOptions{Layout: mirror(".", "a", "*"), bounds: bounds{files: 4, bytes: 100, large: 80}})
	var got []string
	for _, a := range archives {
		var names []string
		for _, e := range a.Entries {
			names = append(names, e.Path)
		}
		got = append(got, fmt.Sprintf("%s %d: %s", a.Prefix, a.Number, strings.Join(names, " ")))
	}
	want := []string{
		"a 0: a/00 a/01 a/02 a/03",
		"a 1: a/04",
		"a 2: a/04x",
		"a 3: a/05 a/06 a/07 a/08",
		"a 4: a/09",
		"* 0: b/0",
		". 0: big",
		"* 1: b/1 b/2",
	}
	// The archives of a prefix come in order; prefixes may overtake each other.
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archives (-want +got):\n%s", diff)
	}
}

func TestWalkBoundsTheNamesInAnArchive(t *testing.T) {
	b := newBatcher(WalkOptions{}, func(a Archive) error {
		var names int
		for _, e := range a.Entries {
			names += len(e.Path)
		}
		if names > maxBatchNames {
			t.Errorf("archive %d holds %d bytes of names", a.Number, names)
		}
		return nil
	})
	for i := range maxBatchNames / 1000 {
		if err := b.add("*", found{Entry: Entry{Path: strings.Repeat("x", 4000) + fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if b.totals.Archives < 3 {
		t.Errorf("%d archives, want several", b.totals.Archives)
	}
}

func TestWalkVeryLongPath(t *testing.T) {
	dir, s := tree(t, map[string]int64{"other": 1})
	part := strings.Repeat("p", 99)
	long := strings.Repeat(part+"/", 40) + "file" // 4,004 bytes
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release(root)
	if err := errors.Join(root.MkdirAll(filepath.Dir(long), 0o755), root.WriteFile(long, []byte("x"), 0o644)); err != nil {
		t.Fatal(err)
	}
	archives, _ := walk(t, s, WalkOptions{Layout: mirror(".", "*")})
	all := entries(archives)
	if all[long].Failed != ReasonKeyTooLong || !all["other"].Sendable() || len(all) != 2 {
		t.Errorf("entries %+v", all)
	}
}

func TestWalkPagesOfAnySizeGiveTheSame(t *testing.T) {
	files := map[string]int64{}
	for i := range 300 {
		files[fmt.Sprintf("%x", i*7919%1009)] = int64(i)
		files[fmt.Sprintf("%x-d/%d", i%17, i)] = int64(i)
	}
	_, s := tree(t, files)
	o := WalkOptions{Layout: mirror(".", "*"), bounds: bounds{files: 7}}
	want, _ := walk(t, s, o)
	if len(entries(want)) != len(files) {
		t.Fatalf("%d entries, want %d", len(entries(want)), len(files))
	}
	for _, size := range []int{1, 2, 7, 100} {
		s.pageNames = size
		got, _ := walk(t, s, o)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d names (-want +got):\n%s", size, diff)
		}
	}
}

func TestWalkFilters(t *testing.T) {
	files := map[string]int64{"a/x.log": 1, "a/y.txt": 1, "a/tmp/z.txt": 1, "b/x.log": 1, "b/tmp/deep/w.txt": 1, "top.txt": 1}
	_, s := tree(t, files)
	for name, tc := range map[string]struct {
		include, exclude []string
		want             []string
	}{
		"everything":              {want: []string{"a/tmp/z.txt", "a/x.log", "a/y.txt", "b/tmp/deep/w.txt", "b/x.log", "top.txt"}},
		"by ending":               {include: []string{"**/*.txt"}, want: []string{"a/tmp/z.txt", "a/y.txt", "b/tmp/deep/w.txt", "top.txt"}},
		"at the root only":        {include: []string{"*.txt"}, want: []string{"top.txt"}},
		"a directory":             {include: []string{"a"}, want: []string{"a/tmp/z.txt", "a/x.log", "a/y.txt"}},
		"a directory with slash":  {include: []string{"/a/"}, want: []string{"a/tmp/z.txt", "a/x.log", "a/y.txt"}},
		"a nested directory":      {include: []string{"b/tmp"}, want: []string{"b/tmp/deep/w.txt"}},
		"exclude a directory":     {exclude: []string{"**/tmp"}, want: []string{"a/x.log", "a/y.txt", "b/x.log", "top.txt"}},
		"exclude wins":            {include: []string{"a/**"}, exclude: []string{"a/*.log"}, want: []string{"a/tmp/z.txt", "a/y.txt"}},
		"nothing matches":         {include: []string{"absent/**"}},
		"braces and single chars": {include: []string{"{a,b}/?.log"}, want: []string{"a/x.log", "b/x.log"}},
	} {
		t.Run(name, func(t *testing.T) {
			archives, _ := walk(t, s, WalkOptions{Include: tc.include, Exclude: tc.exclude, Layout: mirror("*")})
			var got []string
			for _, a := range archives {
				for _, e := range a.Entries {
					got = append(got, e.Path)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWalkDoesNotEnterWhatNoPatternReaches(t *testing.T) {
	_, s := tree(t, map[string]int64{"a/b/c/f": 1, "z/b/c/f": 1})
	_, totals := walk(t, s, WalkOptions{Include: []string{"a/b/*/f"}, Layout: mirror("*")})
	if totals.Directories != 4 { // the root, a, a/b, a/b/c
		t.Errorf("%d directories read, want 4", totals.Directories)
	}
}

func TestWalkRefusesBadOptions(t *testing.T) {
	_, s := tree(t, nil)
	for name, tc := range map[string]struct {
		options WalkOptions
		want    string
	}{
		"include":    {WalkOptions{Include: []string{"a["}, Layout: mirror("*")}, `include: "a["`},
		"exclude":    {WalkOptions{Exclude: []string{""}, Layout: mirror("*")}, `exclude: ""`},
		"unresolved": {WalkOptions{Layout: Layout{Pattern: Mirror}}, "not resolved"},
		"layout":     {WalkOptions{Layout: Layout{Base: "/", Pattern: Mirror}}, "base prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Walk(t.Context(), tc.options, func(Archive) error { return nil })
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestWalkStops(t *testing.T) {
	_, s := tree(t, map[string]int64{"a": 1, "b": 1, "c": 1})
	o := WalkOptions{Layout: mirror("*"), bounds: bounds{files: 1}}
	stop := errors.New("enough")
	if _, err := s.Walk(t.Context(), o, func(Archive) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := s.Walk(ctx, o, func(Archive) error { return nil }); !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
}

func TestResolve(t *testing.T) {
	files := map[string]int64{"root": 1, "odd\xff/f": 1, "*/f": 1}
	for i := range 20 {
		files[fmt.Sprintf("d%02d/f", i)] = 1
	}
	_, s := tree(t, files)
	first := func(n int) []string {
		names := []string{"."}
		for i := range n {
			names = append(names, fmt.Sprintf("d%02d", i))
		}
		return append(names, "*")
	}
	for name, tc := range map[string]struct {
		layout  Layout
		exclude []string
		want    []string
	}{
		"Mirror":              {layout: Layout{Pattern: Mirror}, want: first(15)},
		"Mirror, 1":           {layout: Layout{Pattern: Mirror, Count: 1}, want: []string{"*"}},
		"Mirror, 3":           {layout: Layout{Pattern: Mirror, Count: 3}, want: first(2)},
		"Mirror, more":        {layout: Layout{Pattern: Mirror, Count: 64}, want: first(20)},
		"Mirror, excluded":    {layout: Layout{Pattern: Mirror}, exclude: []string{"d[01]*"}, want: []string{".", "*"}},
		"Mirror, resolved":    {layout: mirror(".", "x", "*"), want: []string{".", "x", "*"}},
		"Hash, automatic":     {layout: Layout{Pattern: Hash}, want: []string{"00", "01", "02", "03"}},
		"Hash, 2":             {layout: Layout{Pattern: Hash, Count: 2}, want: []string{"00", "01"}},
		"Explicit, as it was": {layout: Layout{Pattern: Explicit, Names: []string{"x", "y"}}, want: []string{"x", "y"}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := s.Resolve(t.Context(), tc.layout, nil, tc.exclude)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, l.Prefixes()); diff != "" {
				t.Errorf("prefixes (-want +got):\n%s", diff)
			}
			if len(l.Prefixes()) > MaxPrefixes {
				t.Errorf("%d prefixes, more than %d", len(l.Prefixes()), MaxPrefixes)
			}
		})
	}
}

func TestSumSizes(t *testing.T) {
	_, s := tree(t, map[string]int64{"a": 1, "b/c": 20, "b/d": 300, "e": 4000})
	size, err := s.sumSizes(t.Context(), []string{"b"}, []string{"**/d"}, 2)
	if err != nil || size != 20 {
		t.Errorf("%d bytes, %v; want 20", size, err)
	}
	if _, err := s.sumSizes(t.Context(), nil, nil, 3); !errors.Is(err, errTooMany) {
		t.Errorf("four files, of three at most: %v", err)
	}
}

func TestMirrorNeverHasTooManyPrefixes(t *testing.T) {
	files := map[string]int64{}
	for i := range 100 {
		files[fmt.Sprintf("d%03d/f", i)] = 1
	}
	_, s := tree(t, files)
	l, err := s.Resolve(t.Context(), Layout{Pattern: Mirror, Count: MaxPrefixes}, nil, nil)
	if err != nil || len(l.Prefixes()) != MaxPrefixes {
		t.Fatalf("%d prefixes, %v; want %d", len(l.Prefixes()), err, MaxPrefixes)
	}
}

func TestAutomaticCount(t *testing.T) {
	const gib = 1 << 30
	for size, want := range map[int64]int{0: 4, 256 * gib: 4, 320 * gib: 8, 600 * gib: 16, 1 << 60: 16} {
		if got := automaticCount(size); got != want {
			t.Errorf("%d GiB: %d prefixes, want %d", size/gib, got, want)
		}
	}
}
