package restore_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// drawMembers draws a tree of directories, files, symbolic links and hard links.
func drawMembers(t *rapid.T) []archive.Member {
	name := rapid.SampledFrom([]string{"a", "b", "ab", "a-b", "b*", "\xff"})
	kinds := map[string]archive.Kind{}
	for _, parts := range rapid.SliceOfN(rapid.SliceOfN(name, 1, 4), 1, 25).Draw(t, "paths") {
		p := path.Join(parts...)
		if _, taken := kinds[p]; !taken {
			kinds[p] = rapid.SampledFrom([]archive.Kind{archive.File, archive.File, archive.Symlink, archive.HardLink}).Draw(t, "kind")
		}
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			kinds[d] = archive.Directory
		}
	}
	// Long messages of files make blocks of few lines.
	message := strings.Repeat("m", rapid.SampledFrom([]int{0, 90 << 10}).Draw(t, "message"))
	var members []archive.Member
	for _, p := range slices.SortedFunc(maps.Keys(kinds), archive.ComparePaths) {
		m := archive.Member{Path: p, Kind: kinds[p], Mode: 0o644, ModTime: time.Unix(1e9, 0), Outcome: archive.Done, Tar: &archive.Place{}}
		switch m.Kind {
		case archive.File:
			m.Message = message
		case archive.Symlink:
			m.Link = "elsewhere"
		}
		members = append(members, m)
	}
	return members
}

// drawRun puts the members into archives of several prefixes, each hard link behind a file of its archive.
func drawRun(t *rapid.T, b *bucket) {
	tar := zstd()
	l := archive.Layout{Base: "base", Pattern: archive.Hash, Count: rapid.IntRange(1, 3).Draw(t, "prefixes"), UID: "uid", Tar: &tar}
	each := rapid.IntRange(1, 30).Draw(t, "members of an archive")
	all := map[string][]archive.Manifest{}
	for _, m := range drawMembers(t) {
		prefix := l.Prefix(m.Path)
		list := all[prefix]
		if n := len(list); n == 0 || len(list[n-1].Members) == each {
			object := &archive.Object{Key: l.ArchiveKey(prefix, int64(n))}
			list = append(list, archive.Manifest{Transfer: "uid", Prefix: prefix, Number: int64(n), Object: object})
		}
		last := &list[len(list)-1]
		if m.Kind == archive.HardLink {
			at := slices.IndexFunc(last.Members, func(f archive.Member) bool { return f.Kind == archive.File })
			if at < 0 {
				m.Kind = archive.File
			} else {
				m.Link = last.Members[at].Path
			}
		}
		last.Members = append(last.Members, m)
		all[prefix] = list
	}
	index := archive.Index{Transfer: "uid", Name: "name", Written: time.Unix(1e9, 0), Layout: l}
	var finished []archive.FinishedPrefix
	for prefix, list := range all {
		p := archive.FinishedPrefix{Name: prefix}
		for _, m := range list {
			body, err := m.Encode()
			if err != nil {
				t.Fatal(err)
			}
			b.objects[l.ManifestKey(l.Index(prefix), m.Number)] = body
			p.Outcomes, p.Digests = p.Outcomes.Plus(m.Tally()), append(p.Digests, sha256.Sum256(body))
		}
		p.Planned = p.Outcomes.Total()
		finished = append(finished, p)
	}
	if err := index.Commit(context.Background(), b, finished, archive.CommitHooks{Without: func(err error) { t.Fatal(err) }}); err != nil {
		t.Fatal(err)
	}
}

// answers are the members that a selection takes, with how often it does, and those that the hard
// links among them need.
func answers(t *rapid.T, c *restore.Catalog, s restore.Selection) (taken map[string]int, missing []string) {
	taken = map[string]int{}
	for m, err := range c.Select(context.Background(), s) {
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Members {
			if !s.Takes(f.Path) {
				continue
			}
			taken[fmt.Sprintf("%q in %s %d", f.Path, m.Prefix, m.Number)]++
			if _, has := m.Target(f); f.Kind == archive.HardLink && !has {
				missing = append(missing, f.Path)
			}
		}
	}
	return taken, missing
}

// TestThePathIndexAnswersAsTheManifestsDo draws trees and patterns.
func TestThePathIndexAnswersAsTheManifestsDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &bucket{objects: map[string][]byte{}}
		drawRun(t, b)
		open := func() *restore.Catalog {
			c, err := restore.Open(context.Background(), b, "base", "")
			if err != nil || c.Index.Paths == nil {
				t.Fatal(err)
			}
			return c
		}
		part := rapid.SampledFrom([]string{"a", "b", "ab", "a*", "*", "**", "?b", "[ab]", `b\*`, "{a,b}", "{a,a/b}", "nothing"})
		for _, parts := range rapid.SliceOfN(rapid.SliceOfN(rapid.SliceOfN(part, 1, 3), 1, 3), 1, 4).Draw(t, "selections") {
			var s restore.Selection
			for _, pattern := range parts {
				s = append(s, strings.Join(pattern, "/"))
			}
			plain, indexed := open(), open()
			plain.Index.Paths = nil
			indexed.Gather(rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "gather"))
			want, _ := answers(t, plain, s)
			got, missing := answers(t, indexed, s)
			if diff := cmp.Diff(want, got); diff != "" || len(missing) > 0 || len(indexed.Warnings) > 0 {
				t.Fatalf("%q (-want +got):\n%s\nwithout their targets: %q, warnings %q", s, diff, missing, indexed.Warnings)
			}
		}
	})
}
