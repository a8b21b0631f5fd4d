package archive

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// forger writes blocks of a path index whose digests are right.
type forger struct {
	*pathRun
	tb testing.TB
}

// newForger has the members a, b and c of one archive.
func newForger(tb testing.TB) *forger {
	return &forger{newPathRun(tb, []string{"a", "b", "c"}, 1, 10), tb}
}

// block stores a block as an object of its own.
func (f *forger) block(level int, object int64, lines ...any) PathBlock {
	var raw []byte
	for _, line := range lines {
		text, err := json.Marshal(line)
		if err != nil {
			f.tb.Fatal(err)
		}
		raw = append(append(raw, text...), '\n')
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		f.tb.Fatal(err)
	}
	body := e.EncodeAll(raw, nil)
	f.objects[f.index.Layout.PathsKey(level, object)] = body
	return PathBlock{object, 0, int64(len(body)), Digest(sha256.Sum256(body)).String()}
}

// leaf stores a block of level 0 with some of the members.
func (f *forger) leaf(object int64, members ...int) PathBlock {
	lines := []any{pathHead{Version: FormatVersion, Archives: []pathArchive{{"00", 0, f.members[0].Object}}}}
	for _, n := range members {
		lines = append(lines, pathLine{0, toWireMember(f.members[n].Member)})
	}
	return f.block(0, object, lines...)
}

func to(path string, b PathBlock) pathRef { return pathRef{toWireName(path), b} }

// TestPathIndexesThatLie are by somebody who may write all of a run. What they have is not taken for
// a list of members in order.
func TestPathIndexesThatLie(t *testing.T) {
	for name, forge := range map[string]func(*forger) (levels int, root PathBlock){
		"a block twice": func(f *forger) (int, PathBlock) {
			b := f.leaf(0, 0, 1)
			return 2, f.block(1, 0, to("a", b), to("b", b))
		},
		"a block twice, by the same path": func(f *forger) (int, PathBlock) {
			b := f.leaf(0, 0)
			return 2, f.block(1, 0, to("a", b), to("a", b))
		},
		"blocks of blocks twice": func(f *forger) (int, PathBlock) {
			b := f.block(1, 0, to("a", f.leaf(0, 0)), to("b", f.leaf(1, 1)))
			return 3, f.block(2, 0, to("a", b), to("b", b))
		},
		"another first path": func(f *forger) (int, PathBlock) {
			return 2, f.block(1, 0, to("a", f.leaf(0, 0)), to("b", f.leaf(1, 2)))
		},
		"overlapping blocks": func(f *forger) (int, PathBlock) {
			return 2, f.block(1, 0, to("a", f.leaf(0, 0, 2)), to("b", f.leaf(1, 1)))
		},
		"no members": func(f *forger) (int, PathBlock) {
			return 2, f.block(1, 0, to("a", f.leaf(0)))
		},
		"an empty root": func(f *forger) (int, PathBlock) { return 1, f.block(0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newForger(t)
			levels, root := forge(f)
			f.index.Paths = &PathIndex{Levels: levels, Members: 3, Root: root}
			if err := f.index.Check("base", "uid"); err != nil {
				t.Fatal(err)
			}
			found, err := collect(f.reader(), "", func(string) bool { return false })
			if !errors.As(err, new(*PathIndexError)) || len(found) > 2 {
				t.Errorf("%d members, %v", len(found), err)
			}
			if _, err := f.reader().Leading(context.Background(), "a"); name == "no members" && err == nil {
				t.Error("it leads to something")
			}
		})
	}
}

// TestPlacesAndDigestsThatCannotBe are refused in manifests and path indexes alike.
func TestPlacesAndDigestsThatCannotBe(t *testing.T) {
	for name, forge := range map[string]func(*Place){
		"offset":           func(p *Place) { p.Offset = -1 },
		"length":           func(p *Place) { p.Length = 1 << 62 },
		"content":          func(p *Place) { p.Data = p.Offset - 1 },
		"frame":            func(p *Place) { p.Frame.Offset = -1 },
		"length of frame":  func(p *Place) { p.Frame.Length = -1 },
		"end of frame":     func(p *Place) { p.Frame.Length = 1 << 62 },
		"before its frame": func(p *Place) { p.Frame.TarOffset = p.Offset + 1 },
		"weaker digest":    func(p *Place) { p.Digest = ContentDigest{Algorithm: DigestCRC64NVME, Value: "AAAAAAAAAAA="} },
		"no digest":        func(p *Place) { p.Digest = ContentDigest{} },
	} {
		t.Run(name, func(t *testing.T) {
			f := newForger(t)
			f.index.Layout.Tar.Digest = DigestSHA256
			for i := range f.members {
				f.members[i].Tar.Digest = ContentDigest{Algorithm: DigestSHA256, Value: "00"}
			}
			m := Manifest{Transfer: "uid", Prefix: "00", Object: f.members[0].Object, Members: []Member{f.members[0].Member}}
			f.index.Paths = &PathIndex{Levels: 1, Members: 1, Root: f.leaf(0, 0)}
			all := func(string) bool { return false }
			if _, err := collect(f.reader(), "", all); err != nil {
				t.Fatal(err)
			}
			if err := f.index.Layout.CheckManifest(m, "00", 0); err != nil {
				t.Fatal(err)
			}
			forge(f.members[0].Tar)
			f.index.Paths.Root = f.leaf(0, 0)
			if _, err := collect(f.reader(), "", all); !errors.As(err, new(*PathIndexError)) {
				t.Errorf("in the path index: %v", err)
			}
			if err := f.index.Layout.CheckManifest(m, "00", 0); err == nil {
				t.Error("in a manifest it is not noticed")
			}
		})
	}
}

// ordered keeps the keys in the order in which they are written.
type ordered struct {
	*pathRun
	keys []string
}

func (o *ordered) Put(ctx context.Context, key string, body []byte) error {
	o.mu.Lock()
	o.keys = append(o.keys, strings.Split(strings.TrimPrefix(key, o.index.Layout.BookkeepingPrefix()), "/")[0])
	o.mu.Unlock()
	return o.pathRun.Put(ctx, key, body)
}

// TestCommitWritesDigestsAfterThePathIndex has a run that ends while the path index is written be
// resumable: one with lists of digests isn't.
func TestCommitWritesDigestsAfterThePathIndex(t *testing.T) {
	o := &ordered{pathRun: newPathRun(t, []string{"a", "b", "c", "d"}, 2, 10)}
	var finished []FinishedPrefix
	for _, name := range slices.Sorted(maps.Keys(o.digests)) {
		finished = append(finished, FinishedPrefix{Name: name, Digests: o.digests[name]})
	}
	without := func(err error) { t.Error(err) }
	if err := o.index.Commit(t.Context(), o, finished, CommitHooks{Without: without}); err != nil {
		t.Fatal(err)
	}
	// The one object of the path index is its last, beside which the lists are written.
	slices.Sort(o.keys[:len(o.keys)-1])
	if want := []string{"digests", "digests", "paths", "index.json"}; !slices.Equal(o.keys, want) {
		t.Errorf("%q, want %q", o.keys, want)
	}
}
