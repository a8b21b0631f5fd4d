package restore_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	zstdlib "github.com/klauspost/compress/zstd"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// unreliable has reads of the path index fail from some number of them on.
type unreliable struct {
	*bucket
	whole, reads int
}

func (u *unreliable) OpenRange(ctx context.Context, key, etag string, offset, length int64) (io.ReadCloser, error) {
	body, err := u.bucket.OpenRange(ctx, key, etag, offset, length)
	if err != nil || !strings.Contains(key, "/paths/") {
		return body, err
	}
	if u.reads++; u.reads <= u.whole {
		return body, nil
	}
	return io.NopCloser(io.LimitReader(zeros{}, length)), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// linked is a tree with hard links to files that are far away in the path index, yet in one archive.
func linked(t *testing.T) string {
	dir := t.TempDir()
	for i := range 8 {
		write(t, dir, fmt.Sprintf("aa/%d", i), 100)
	}
	for i := range 2500 {
		write(t, dir, fmt.Sprintf("mm/some-longer-name-of-a-file-%05d", i), 1)
	}
	for i := range 8 {
		write(t, dir, fmt.Sprintf("zz/own-%d", i), 50)
		if err := os.Link(filepath.Join(dir, fmt.Sprintf("aa/%d", i)), filepath.Join(dir, fmt.Sprintf("zz/to-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestAPathIndexThatBreaksOffCostsNothing has the index damaged from every one of its reads on.
func TestAPathIndexThatBreaksOffCostsNothing(t *testing.T) {
	b := indexed(t, linked(t), zstd(), 1)
	for _, selection := range []restore.Selection{{"zz"}, {"aa/3", "zz/to-*", "zz/own-1"}} {
		to := t.TempDir()
		want := restored(t, restore.Options{Catalog: withoutPaths(t, b), Dir: to, Selection: selection})
		for whole, sound := 0, false; !sound; whole++ {
			u := &unreliable{bucket: b, whole: whole}
			c, err := restore.Open(t.Context(), u, "base", "")
			if err != nil {
				t.Fatal(err)
			}
			here := t.TempDir()
			got := restored(t, restore.Options{Catalog: c, Dir: here, Selection: selection})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q after %d reads (-want +got):\n%s", selection, whole, diff)
			}
			if diff := cmp.Diff(describe(t, to), describe(t, here)); diff != "" {
				t.Errorf("%q after %d reads (-want +got):\n%s", selection, whole, diff)
			}
			sound = u.reads <= whole
			if sound != (len(c.Warnings) == 0) {
				t.Errorf("%q after %d reads: %q", selection, whole, c.Warnings)
			}
		}
	}
}

// TestAFileIsWhatIsBelowIt has the wildcard for what is below a directory match the path itself.
func TestAFileIsWhatIsBelowIt(t *testing.T) {
	b := indexed(t, branched(t), zstd(), 3)
	for _, selection := range []restore.Selection{{"large/**"}, {"d1/link/**"}, {"d1/deep/**"}, {"d1/f01/**", "d2/**"}} {
		paths := func(c *restore.Catalog) (all []string) {
			for m, err := range c.Select(t.Context(), selection) {
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range m.Members {
					if selection.Takes(f.Path) {
						all = append(all, f.Path)
					}
				}
			}
			slices.Sort(all)
			return all
		}
		want := paths(withoutPaths(t, b))
		if diff := cmp.Diff(want, paths(catalog(t, b))); diff != "" || len(want) == 0 {
			t.Errorf("%q (-want +got):\n%s", selection, diff)
		}
	}
}

// forge replaces the path index by one block of lines, whose digest is right.
func forge(t *testing.T, b *bucket, lines string) *restore.Catalog {
	t.Helper()
	e, err := zstdlib.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := catalog(t, b)
	body := e.EncodeAll([]byte(lines), nil)
	b.objects[c.Index.Layout.PathsKey(0, 9)] = body
	c.Index.Paths = &archive.PathIndex{Levels: 1, Members: 2, Root: archive.PathBlock{
		Object: 9, Length: int64(len(body)), SHA256: archive.Digest(sha256.Sum256(body)).String(),
	}}
	if err := c.Index.Check("base", "uid"); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAPathIndexWithTwoTarsOfOneArchive is by somebody who may write all of a run.
func TestAPathIndexWithTwoTarsOfOneArchive(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "d/a", 10)
	write(t, dir, "d/b", 10)
	b := indexed(t, dir, zstd(), 1)
	tar := `"tar":{"offset":0,"length":1024,"data":512,"frame":{"offset":0,"length":9,"tarOffset":0},"crc64nvme":"AAAAAAAAAAA="}`
	c := forge(t, b, `{"version":2,"archives":[{"prefix":"00","number":0},{"prefix":"00","number":0,"object":{"key":"`+b.archives()[0]+`","size":9,"compression":"Zstd"}}]}
{"archive":0,"path":"d/a","size":10,"mode":"0644","mtime":0,"outcome":"Failed"}
{"archive":1,"path":"d/b","size":10,"mode":"0644","mtime":0,"outcome":"Done",`+tar+`}
`)
	s := restored(t, restore.Options{Catalog: c, Dir: t.TempDir(), Selection: restore.Selection{"d"}})
	if s.Files != 3 || s.Failed > 0 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "two tars") {
		t.Errorf("%+v, %v, %q", s, s.Failures, c.Warnings)
	}
}

// TestVerifyComparesThePathIndexWithTheManifests has an index of as many members and bytes, which says
// something else of one.
func TestVerifyComparesThePathIndexWithTheManifests(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", 10)
	b := indexed(t, dir, zstd(), 1)
	c := catalog(t, b)
	raw := expanded(t, b.objects[c.Index.Layout.PathsKey(0, 0)])
	for name, tc := range map[string]struct {
		from, to string
		wrong    int64
	}{
		"nothing": {"", "", 0},
		"name":    {`"path":"a"`, `"path":"b"`, 1},
		"time":    {`"mtimeNs":`, `"mtimeNs":1`, 1},
		"digest":  {`"crc64nvme":"`, `"crc64nvme":"A`, 1},
		"frame":   {`"length":`, `"length":1`, 1},
	} {
		forged := strings.Replace(raw, tc.from, tc.to, 1)
		if (forged == raw) != (tc.wrong == 0) {
			t.Fatalf("%s is not in %s", name, raw)
		}
		v, err := restore.Verify(t.Context(), restore.VerifyOptions{Catalog: forge(t, b, forged)})
		if err != nil || v.Wrong != tc.wrong {
			t.Errorf("%s: %+v, %v, %v", name, v, v.Failures, err)
		}
	}
}

func expanded(t *testing.T, data []byte) string {
	t.Helper()
	d, err := zstdlib.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	raw, err := d.DecodeAll(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestAFileOfAnImpossibleSize has a manifest say of a file that it is larger than any memory could note
// the ranges of.
func TestAFileOfAnImpossibleSize(t *testing.T) {
	for _, size := range []int64{1 << 45, 1 << 60} {
		b := &bucket{objects: map[string][]byte{}}
		m := member(b, "large")
		m.Size = size
		b.refuses = map[string]error{m.Key: s3.ErrNotFound}
		b.run(t, "uid", "name", time.Now(), m)
		if s := run(t, b, restore.Options{Dir: t.TempDir()}); s.Failed != 2 { // one of each archive
			t.Errorf("%d: %+v", size, s)
		}
	}
}

// TestManyHardLinksTakeFewRequests has their targets outside of what is selected.
func TestManyHardLinksTakeFewRequests(t *testing.T) {
	dir := t.TempDir()
	for i := range 3000 {
		file := fmt.Sprintf("files/some-longer-name-of-a-file-%05d", i)
		write(t, dir, file, 1)
		if i%10 != 0 {
			continue
		}
		if err := os.MkdirAll(filepath.Join(dir, "links"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(filepath.Join(dir, file), filepath.Join(dir, fmt.Sprintf("links/%05d", i*1237%3000))); err != nil {
			t.Fatal(err)
		}
	}
	b := indexed(t, dir, zstd(), 1)
	b.gets = 0
	s := restored(t, restore.Options{Catalog: catalog(t, b), Dir: t.TempDir(), Selection: restore.Selection{"links"}})
	if s.Files != 301 || s.Failed > 0 || b.gets > 20 {
		t.Errorf("%+v %v, %d ranges", s, s.Failures, b.gets)
	}
}

// TestAListOfDigestsThatIsLostIsLookedForOnce has as many manifests as there may be.
func TestAListOfDigestsThatIsLostIsLookedForOnce(t *testing.T) {
	for name, lose := range map[string]func(b *bucket, key string){
		"gone":     func(b *bucket, key string) { delete(b.objects, key) },
		"modified": func(b *bucket, key string) { b.objects[key] = append(b.objects[key], '\n') },
	} {
		b := &bucket{objects: map[string][]byte{}}
		l := b.run(t, "uid", "name", time.Now(), member(b, "a"))
		lose(b, l.DigestsKey(0))
		looks := &counted{bucket: b, key: l.DigestsKey(0)}
		c, err := restore.Open(t.Context(), looks, "base", "")
		if err != nil {
			t.Fatal(err)
		}
		s := restored(t, restore.Options{Catalog: c, Dir: t.TempDir()})
		if s.Failed != 2 || looks.gets.Load() != 1 {
			t.Errorf("%s: %+v, looked for %d times", name, s, looks.gets.Load())
		}
	}
}

// counted counts how often an object is read.
type counted struct {
	*bucket
	key  string
	gets atomic.Int64
}

func (c *counted) Get(ctx context.Context, key string) ([]byte, error) {
	if key == c.key {
		c.gets.Add(1)
	}
	return c.bucket.Get(ctx, key)
}

// A manifest says what it likes: a member that can't be had fails, and the others are restored.
func TestMembersThatLeadNowhereFail(t *testing.T) {
	b := &bucket{objects: map[string][]byte{}}
	link := archive.Member{Path: "link", Kind: archive.HardLink, Link: "a", Mode: 0o644, Outcome: archive.Done}
	never, homeless, other := member(b, "a"), member(b, "a"), member(b, "other")
	never.Outcome, homeless.Key = archive.Failed, ""
	packed := homeless
	packed.Tar = &archive.Place{}
	b.run(t, "uid", "name", time.Now(), other)
	for name, c := range map[string]struct {
		members []archive.Member
		fails   string
	}{
		"a link to what is nowhere":          {[]archive.Member{link}, "link"},
		"a link to what was never archived":  {[]archive.Member{never, link}, "link"},
		"a link to a file without an object": {[]archive.Member{homeless, link}, "link"},
		"a file without an object":           {[]archive.Member{homeless}, "a"},
		"a file of a tar that there is not":  {[]archive.Member{packed}, "a"},
	} {
		m := archive.Manifest{Transfer: "uid", Prefix: "00", Members: append(c.members, other)}
		o := restore.Options{Catalog: catalog(t, b), Dir: t.TempDir(), Selection: restore.Selection{c.fails, "other"}}
		if n := thawedOf(t, b, o, m); n != 1 {
			t.Errorf("%s: %d objects are thawed, want that of the other file", name, n)
		}
		for _, f := range finished(t, o, m) {
			if want := f.Path == "other"; o.Selection.Takes(f.Path) && (f.Outcome == archive.Done) != want {
				t.Errorf("%s: %q counts as %s: %s", name, f.Path, f.Outcome, f.Message)
			}
		}
	}
}

// finished are the members of an archive after a session that finishes it.
func finished(t *testing.T, o restore.Options, m archive.Manifest) []archive.Member {
	t.Helper()
	s, err := restore.NewSession(o, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // What was written is looked at.
	members, err := s.Finish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return members
}

// A hard link may lead to a file that is an object of its own.
func TestALinkToAnObjectBringsItsContent(t *testing.T) {
	b := &bucket{objects: map[string][]byte{}}
	b.run(t, "uid", "name", time.Now(), member(b, "a"))
	m := archive.Manifest{Transfer: "uid", Prefix: "00", Members: []archive.Member{member(b, "a"),
		{Path: "b", Kind: archive.HardLink, Link: "a", Mode: 0o644, Outcome: archive.Done}}}
	o := restore.Options{Catalog: catalog(t, b), Dir: t.TempDir(), Selection: restore.Selection{"b"}}
	finished(t, o, m)
	if got, err := os.ReadFile(filepath.Join(o.Dir, "b")); err != nil || string(got) != "content of a" {
		t.Errorf("%q, %v", got, err)
	}
}
