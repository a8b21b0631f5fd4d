package archive

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
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
