package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// pathRun is a run with a path index, in memory.
type pathRun struct {
	mu      sync.Mutex
	objects map[string][]byte
	index   Index
	digests map[string][]Digest
	members []PathMember
	reads   int
	bytes   int64
}

func (r *pathRun) Put(_ context.Context, key string, body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.objects[key] = slices.Clone(body)
	return nil
}

func (r *pathRun) Get(_ context.Context, key string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, ok := r.objects[key]
	if !ok {
		return nil, errors.New("no such key")
	}
	return body, nil
}

func (*pathRun) List(context.Context, string) ([]string, error) { return nil, nil }

func (r *pathRun) read(_ context.Context, key string, offset, length int64) ([]byte, error) {
	body, ok := r.objects[key]
	if !ok || offset+length > int64(len(body)) {
		return nil, &PathIndexError{key, errors.New("no such range")}
	}
	r.reads++
	r.bytes += length
	return body[offset : offset+length], nil
}

func (r *pathRun) reader() *PathReader { return NewPathReader(r.index.Layout, *r.index.Paths, r.read) }

// newPathRun archives members, sorted by path, a few to an archive, each in a prefix of its own choice.
func newPathRun(tb rapid.TB, paths []string, prefixes, each int) *pathRun {
	r := &pathRun{objects: map[string][]byte{}, digests: map[string][]Digest{}}
	tar := Tar{Name: "data", TargetSize: 1 << 30, LargeFile: 1 << 20, Compression: Zstd, Level: 1, Digest: DigestCRC64NVME}
	l := Layout{Base: "base", Pattern: Hash, Count: prefixes, UID: "uid", Tar: &tar}
	r.index = Index{Transfer: "uid", Layout: l, Written: time.Unix(1e9, 0)}
	slices.SortFunc(paths, ComparePaths)
	open := map[string]*Manifest{}
	end := func(m *Manifest) {
		body, err := m.Encode()
		if err != nil {
			tb.Fatal(err)
		}
		r.objects[l.ManifestKey(l.Index(m.Prefix), m.Number)] = body
		r.digests[m.Prefix] = append(r.digests[m.Prefix], sha256.Sum256(body))
	}
	for i, p := range paths {
		prefix := l.Prefix(p)
		m := open[prefix]
		if m == nil {
			m = &Manifest{Transfer: "uid", Prefix: prefix}
			open[prefix] = m
		}
		if len(m.Members) == each {
			end(m)
			*m = Manifest{Transfer: "uid", Prefix: prefix, Number: m.Number + 1}
		}
		key := l.ArchiveKey(prefix, m.Number)
		m.Object = &Object{Key: key, Size: 1 << 20, Compression: Zstd}
		f := Member{Path: p, Mode: 0o644, ModTime: time.Unix(int64(i), 0), Outcome: Done, Tar: &Place{
			Offset: int64(i) * 512, Length: 512, Data: int64(i)*512 + 512, Frame: Range{int64(i), 99, int64(i) * 512},
			Digest: ContentDigest{Algorithm: DigestCRC64NVME, Value: fmt.Sprintf("%011d=", i)},
		}}
		if i+1 < len(paths) && within(paths[i+1], p) {
			f.Kind, f.Tar.Digest = Directory, ContentDigest{}
		}
		m.Members = append(m.Members, f)
		r.members = append(r.members, PathMember{prefix, m.Number, m.Object, f})
	}
	for _, m := range open {
		end(m)
	}
	return r
}

// from is PathReader.From by looking at everything.
func (r *pathRun) from(start string, past func(string) bool) (found []PathMember) {
	for _, m := range r.members {
		if ComparePaths(m.Path, start) >= 0 && !past(m.Path) {
			found = append(found, m)
		}
	}
	return found
}

func collect(r *PathReader, start string, past func(string) bool) (found []PathMember, err error) {
	for m, err := range r.From(context.Background(), start, past) {
		if err != nil {
			return found, err
		}
		found = append(found, m)
	}
	return found, nil
}

// trees draws paths of a tree with its directories, most of which are members themselves.
func trees(t *rapid.T) []string {
	name := rapid.SampledFrom([]string{"a", "b", "a-b", "a.b", "é", "\xff", "zz"})
	all := map[string]bool{}
	for _, parts := range rapid.SliceOfN(rapid.SliceOfN(name, 1, 5), 1, 60).Draw(t, "paths") {
		for n := range parts {
			if n+1 == len(parts) || rapid.IntRange(0, 9).Draw(t, "kept") > 0 {
				all[strings.Join(parts[:n+1], "/")] = true
			}
		}
	}
	return slices.Collect(maps.Keys(all))
}

func TestPathIndexFindsWhatThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newPathRun(t, trees(t), rapid.IntRange(1, 4).Draw(t, "prefixes"), rapid.IntRange(1, 9).Draw(t, "each"))
		sizes := pathSizes{rapid.SampledFrom([]int{1, 500, 5000}).Draw(t, "block"), rapid.SampledFrom([]int{1, 2000, pathObject}).Draw(t, "object")}
		err := r.index.addPaths(context.Background(), r, r.digests, sizes, mergeHooks{})
		if errors.Is(err, ErrNoPathIndex) && sizes.block == 1 {
			return // With a line to a block the tree may be deeper than an index is.
		}
		if err != nil {
			t.Fatal(err)
		}
		reader := r.reader()
		for _, start := range append(rapid.SliceOfN(rapid.SampledFrom(trees(t)), 1, 5).Draw(t, "starts"), "", "a", "zz", "zzz") {
			for name, past := range map[string]func(string) bool{
				"all":   func(string) bool { return false },
				"below": func(p string) bool { return !within(p, start) && ComparePaths(p, start) > 0 },
				"none":  func(string) bool { return true },
			} {
				got, err := collect(reader, start, past)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(r.from(start, past), got); diff != "" {
					t.Fatalf("from %q, %s (-want +got):\n%s", start, name, diff)
				}
			}
			lead, err := reader.Leading(context.Background(), start)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, d := range lead {
				got = append(got, d.Path)
			}
			for _, m := range r.members {
				if m.Kind == Directory && m.Path != start && within(start, m.Path) {
					want = append(want, m.Path)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("leading to %q (-want +got):\n%s", start, diff)
			}
		}
	})
}

// manyPaths are n files in directories of 100.
func manyPaths(n int) (all []string) {
	for i := range n {
		if i%100 == 0 {
			all = append(all, fmt.Sprintf("data/%05d", i/100))
		}
		all = append(all, fmt.Sprintf("data/%05d/file-%07d", i/100, i))
	}
	return all
}

func TestOneFileTakesFewBlocks(t *testing.T) {
	r := newPathRun(t, manyPaths(40_000), 4, 10_000)
	if err := r.index.AddPaths(t.Context(), r, r.digests); err != nil {
		t.Fatal(err)
	}
	if r.index.Paths.Levels != 2 || r.index.Paths.Members != int64(len(r.members)) {
		t.Errorf("%+v", r.index.Paths)
	}
	const path = "data/00123/file-0012345"
	past := func(p string) bool { return p != path && ComparePaths(p, path) > 0 }
	reader := r.reader()
	lead, err := reader.Leading(t.Context(), path)
	if err != nil || len(lead) != 1 || lead[0].Path != "data/00123" {
		t.Fatalf("%+v, %v", lead, err)
	}
	found, err := collect(reader, path, past)
	if err != nil || len(found) != 1 || found[0].Path != path {
		t.Fatalf("%+v, %v", found, err)
	}
	if r.reads != 2 || r.bytes > 128<<10 {
		t.Errorf("%d reads of %d bytes", r.reads, r.bytes)
	}
}

// TestPathIndexNoticesEveryChange flips a bit of each byte of the index, and has what it is then not
// be taken for the run's.
func TestPathIndexNoticesEveryChange(t *testing.T) {
	r := newPathRun(t, manyPaths(30), 2, 10)
	if err := r.index.addPaths(t.Context(), r, r.digests, pathSizes{400, 1 << 20}, mergeHooks{}); err != nil {
		t.Fatal(err)
	}
	if r.index.Paths.Levels < 3 {
		t.Fatalf("%d levels", r.index.Paths.Levels)
	}
	changed := 0
	for key, body := range r.objects {
		if !strings.Contains(key, "/paths/") {
			continue
		}
		for i := range body {
			body[i] ^= 1
			found, err := collect(r.reader(), "", func(string) bool { return false })
			if !errors.As(err, new(*PathIndexError)) {
				t.Fatalf("%s, byte %d: %d members, %v", key, i, len(found), err)
			}
			body[i] ^= 1
			changed++
		}
	}
	if changed < 1000 {
		t.Errorf("changed %d bytes", changed)
	}
}

// TestPathIndexRefusesObjectsOfOthers reads indexes whose digests are right, by somebody who may
// write all of a run.
func TestPathIndexRefusesObjectsOfOthers(t *testing.T) {
	for name, forge := range map[string]func(*PathMember){
		"archive": func(m *PathMember) { m.Object = &Object{Key: "elsewhere/secret.tar.zst", Compression: Zstd} },
		"file":    func(m *PathMember) { m.Tar, m.Key = nil, "elsewhere/secret" },
		"prefix":  func(m *PathMember) { m.Prefix = "elsewhere" },
		"number":  func(m *PathMember) { m.Number = -1 },
		"size":    func(m *PathMember) { m.Size = -1 },
		"path":    func(m *PathMember) { m.Path = "" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newPathRun(t, []string{"a"}, 1, 10)
			w, err := newPathWriter(r, r.index.Layout, pathSizes{pathBlock, pathObject})
			if err != nil {
				t.Fatal(err)
			}
			m := r.members[0]
			forge(&m)
			if err := w.add(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if r.index.Paths, err = w.close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if found, err := collect(r.reader(), "", func(string) bool { return false }); !errors.As(err, new(*PathIndexError)) {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}

func TestNoPathIndexOfWhatIsNotInOrder(t *testing.T) {
	r := newPathRun(t, []string{"a", "b", "c"}, 1, 1)
	l := r.index.Layout
	r.objects[l.ManifestKey(0, 0)], r.objects[l.ManifestKey(0, 1)] = r.objects[l.ManifestKey(0, 1)], r.objects[l.ManifestKey(0, 0)]
	if err := r.index.AddPaths(t.Context(), r, r.digests); err == nil || r.index.Paths != nil {
		t.Errorf("manifests that were exchanged: %v", err)
	}
	d := r.digests["00"]
	d[0], d[1] = d[1], d[0]
	if err := r.index.AddPaths(t.Context(), r, r.digests); !errors.Is(err, ErrNoPathIndex) || r.index.Paths != nil {
		t.Errorf("members that are not in order: %v", err)
	}
}

func TestNoPathIndexWithoutManifests(t *testing.T) {
	r := newPathRun(t, manyPaths(2000), 4, 100)
	delete(r.objects, r.index.Layout.ManifestKey(2, 3))
	if err := r.index.AddPaths(t.Context(), r, r.digests); err == nil || r.index.Paths != nil {
		t.Errorf("without a manifest: %v", err)
	}
	empty := newPathRun(t, nil, 2, 1)
	if err := empty.index.AddPaths(t.Context(), empty, empty.digests); err != nil || empty.index.Paths != nil {
		t.Errorf("of nothing: %+v, %v", empty.index.Paths, err)
	}
}

func FuzzPathBlocks(f *testing.F) {
	f.Add([]byte(`{"version":2,"archives":[{"prefix":"00","number":0}]}` + "\n" + `{"archive":0,"path":"a","size":0,"mode":"0644","mtime":0,"outcome":"Done"}`))
	f.Add([]byte(`{"path":"a","object":0,"offset":0,"length":1,"sha256":""}`))
	l := Layout{Pattern: Hash, Count: 1, UID: "uid"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if leaf, err := decodeLeaf(l, raw); err == nil {
			for _, m := range leaf.members {
				if m.Path == "" || m.Prefix != "00" || m.Tar != nil && m.Object == nil {
					t.Errorf("%+v", m)
				}
			}
		}
		if refs, err := decodeRefs(raw); err == nil && len(refs) == 0 {
			t.Error("no blocks")
		}
	})
}
