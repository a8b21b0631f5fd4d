package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

const testPart = 8 << 20

func tarLayout(c Compression) Layout {
	return Layout{Pattern: Hash, Count: 1, UID: "uid", Tar: &Tar{
		Name: "data", TargetSize: DefaultTargetSize, LargeFile: DefaultTarLargeFile, Compression: c, Level: DefaultLevel, Digest: DigestCRC64NVME,
	}}
}

func newPacker(tb testing.TB, s *Source, l Layout, a Archive) *Packer {
	tb.Helper()
	c, err := NewCompressor(*l.Tar)
	if err != nil {
		tb.Fatal(err)
	}
	return NewPacker(s, c, l.Tar.DigestAlgorithm(), a)
}

// pack makes all parts of an archive, and makes each of them a second time.
func pack(tb testing.TB, s *Source, l Layout, a Archive) ([]byte, []Packed) {
	tb.Helper()
	p := newPacker(tb, s, l, a)
	defer release(p)
	var object []byte
	var parts [][]byte
	for last := false; !last; {
		buf := make([]byte, testPart)
		n, end, err := p.Fill(tb.Context(), len(parts), buf)
		if err != nil {
			tb.Fatal(err)
		}
		last = end
		parts = append(parts, buf[:n])
		object = append(object, buf[:n]...)
	}
	for i, part := range parts {
		again := make([]byte, testPart)
		n, last, err := p.Fill(tb.Context(), i, again)
		if err != nil || last != (i == len(parts)-1) || !bytes.Equal(again[:n], part) {
			tb.Fatalf("part %d of %d made again: %d bytes instead of %d, last %v, %v", i, len(parts), n, len(part), last, err)
		}
		if i < len(parts)-1 && n < 5<<20 {
			tb.Errorf("part %d has %d bytes, fewer than S3 takes", i, n)
		}
	}
	return object, p.Packed()
}

// plainTar returns the tar in an object.
func plainTar(tb testing.TB, l Layout, object []byte) []byte {
	tb.Helper()
	if l.Tar.Compression == Plain {
		return object
	}
	d, err := zstd.NewReader(bytes.NewReader(object))
	if err != nil {
		tb.Fatal(err)
	}
	defer d.Close()
	raw, err := io.ReadAll(d)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// one walks a source whose entries make a single archive.
func one(tb testing.TB, s *Source, l Layout) Archive {
	tb.Helper()
	all, _ := walk(tb, s, WalkOptions{Layout: l})
	if len(all) != 1 {
		tb.Fatalf("%d archives, want one", len(all))
	}
	return all[0]
}

func TestOtherProgramsExtractArchives(t *testing.T) {
	dir := motley(t)
	want := things(t, dir)
	s := openSource(t, dir)
	for _, c := range []Compression{Plain, Zstd} {
		l := tarLayout(c)
		object, _ := pack(t, s, l, one(t, s, l))
		file := filepath.Join(t.TempDir(), "archive"+l.Tar.suffix())
		if err := os.WriteFile(file, object, 0o600); err != nil {
			t.Fatal(err)
		}
		for name, command := range map[string][]string{
			"GNU tar": {"tar", "--extract", "--preserve-permissions", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--warning=no-timestamp", "--file", file},
			"bsdtar":  {"bsdtar", "-x", "-p", "-f", file},
		} {
			t.Run(fmt.Sprintf("%s, compression %s", name, c), func(t *testing.T) {
				to := t.TempDir()
				cmd := exec.Command(command[0], command[1:]...)
				cmd.Dir = to
				if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
					t.Fatalf("%v: %s: install it, see CONTRIBUTING.md", err, out)
				}
				if diff := cmp.Diff(want, things(t, to)); diff != "" {
					t.Errorf("extracted (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestPackedRangesLeadToTheContent(t *testing.T) {
	dir := motley(t)
	s := openSource(t, dir)
	for _, c := range []Compression{Plain, Zstd} {
		t.Run(string(c), func(t *testing.T) {
			l := tarLayout(c)
			a := one(t, s, l)
			object, packed := pack(t, s, l, a)
			raw := plainTar(t, l, object)
			for i, e := range a.Entries {
				p := packed[i]
				if !p.In || p.Err != nil {
					t.Errorf("%q is not in the tar: %v", e.Path, p.Err)
					continue
				}
				piece := plainTar(t, l, object[p.Frame.Offset:p.Frame.Offset+p.Frame.Length])
				within := p.Offset - p.Frame.TarOffset
				if !bytes.Equal(piece[within:within+p.Length], raw[p.Offset:p.Offset+p.Length]) {
					t.Errorf("%q: the range %+v does not hold it", e.Path, p.Frame)
				}
				if c == Zstd && p.Length <= FrameSize && len(piece) > FrameSize {
					t.Errorf("%q: %d bytes are spread over %d", e.Path, p.Length, len(piece))
				}
				h, err := tar.NewReader(bytes.NewReader(piece[within:])).Next()
				if err != nil || strings.TrimSuffix(h.Name, "/") != e.Path {
					t.Fatalf("%q: header %+v, %v", e.Path, h, err)
				}
				if e.Kind == File && !p.Sparse {
					if want := wholeDigest(l.Tar.DigestAlgorithm(), raw[p.Data:p.Data+e.Size]); p.Digest != want {
						t.Errorf("%q: digest %v, content has %v", e.Path, p.Digest, want)
					}
				}
			}
		})
	}
}

func TestPackingIsDeterministic(t *testing.T) {
	s := openSource(t, motley(t))
	l := tarLayout(Zstd)
	first, _ := pack(t, s, l, one(t, s, l))
	second, _ := pack(t, s, l, one(t, s, l))
	if !bytes.Equal(first, second) {
		t.Error("the same source gives other bytes")
	}
}

// TestAPackerThatRestsMakesTheSame closes its files between any two parts.
func TestAPackerThatRestsMakesTheSame(t *testing.T) {
	dir := motley(t)
	writeContent(t, dir, "long", bytes.Repeat([]byte("long"), 5<<20))
	s := openSource(t, dir)
	for _, c := range []Compression{Plain, Zstd} {
		l := tarLayout(c)
		a := one(t, s, l)
		want, packed := pack(t, s, l, a)
		p := newPacker(t, s, l, a)
		t.Cleanup(func() { release(p) })
		got := packWhile(t, p, func(int) error { p.Rest(); return nil })
		if !bytes.Equal(got, want) {
			t.Errorf("%v: other bytes", c)
		}
		if diff := cmp.Diff(packed, p.Packed()); diff != "" {
			t.Errorf("%v: (-want +got):\n%s", c, diff)
		}
	}
}

// TestAFileReplacedDuringARestIsNotTaken has another file in its place, with its size and time.
func TestAFileReplacedDuringARestIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	writeContent(t, dir, "a", bytes.Repeat([]byte("a"), 20<<20))
	s := openSource(t, dir)
	l := tarLayout(Plain)
	a := one(t, s, l)
	p := newPacker(t, s, l, a)
	defer release(p)
	object := packWhile(t, p, func(part int) error {
		if part != 1 {
			return nil
		}
		p.Rest()
		other, file := filepath.Join(t.TempDir(), "other"), filepath.Join(dir, "a")
		writeContent(t, filepath.Dir(other), "other", bytes.Repeat([]byte("b"), 20<<20))
		if err := os.Chtimes(other, time.Time{}, a.Entries[0].ModTime); err != nil {
			return err
		}
		return os.Rename(other, file)
	})
	if err := p.Packed()[0].Err; err == nil || !strings.Contains(err.Error(), ErrChanged.Error()) {
		t.Errorf("the file is archived with the error %v, want %v", err, ErrChanged)
	}
	if diff := cmp.Diff([]string{"a"}, memberNames(t, object)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

// packWhile packs an object, and calls change before it packs each of its parts.
func packWhile(t *testing.T, p *Packer, change func(part int) error) (object []byte) {
	t.Helper()
	for n, last := 0, false; !last; n++ {
		if err := change(n); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, testPart)
		length, end, err := p.Fill(t.Context(), n, buf)
		if err != nil {
			t.Fatal(err)
		}
		last = end
		object = append(object, buf[:length]...)
	}
	return object
}

// memberNames lists a tar.
func memberNames(t *testing.T, object []byte) (names []string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(object)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatalf("the tar is damaged: %v", err)
		}
		names = append(names, h.Name)
	}
}

func TestFilesThatChangeLeaveAValidTar(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(p string) error
		// while: the change comes while the file is read rather than before.
		while bool
		want  error
	}{
		"vanished before": {os.Remove, false, ErrVanished},
		"grown before":    {func(p string) error { return os.Truncate(p, 30<<20) }, false, ErrChanged},
		"shrunk while":    {func(p string) error { return os.Truncate(p, 10<<20) }, true, ErrChanged},
		"grown while":     {func(p string) error { return os.Truncate(p, 30<<20) }, true, ErrChanged},
		"touched while":   {func(p string) error { return os.Chtimes(p, time.Now(), time.Now()) }, true, ErrChanged},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range []string{"a", "b", "c"} {
				writeContent(t, dir, file, bytes.Repeat([]byte(file), 20<<20))
			}
			if err := os.Link(filepath.Join(dir, "b"), filepath.Join(dir, "d")); err != nil {
				t.Fatal(err)
			}
			s := openSource(t, dir)
			l := tarLayout(Plain)
			a := one(t, s, l)
			p := newPacker(t, s, l, a)
			defer release(p)
			at := 0
			if tc.while {
				at = 3
			}
			object := packWhile(t, p, func(part int) error {
				if part != at {
					return nil
				}
				return tc.change(filepath.Join(dir, "b"))
			})
			packed := p.Packed()
			for i, want := range []error{nil, tc.want, nil, ErrVanished} {
				if err := packed[i].Err; (err == nil) != (want == nil) || err != nil && !strings.Contains(err.Error(), want.Error()) {
					t.Errorf("%q: %v, want %v", a.Entries[i].Path, err, want)
				}
			}
			if packed[1].Digest != (ContentDigest{}) {
				t.Error("a file that is not whole has a digest")
			}
			want := []string{"a", "b", "c"}
			if !tc.while {
				want = []string{"a", "c"}
			}
			if diff := cmp.Diff(want, memberNames(t, object)); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFileIsTornEvenIfItsTimeIsSetBack(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(p string) error
		want   error
	}{
		"written": {func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("2"), 20<<20), 0o600) }, ErrChanged},
		"chmod":   {func(p string) error { return os.Chmod(p, 0o640) }, nil},
		"linked":  {func(p string) error { return os.Link(p, p+"-2") }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeContent(t, dir, "a", bytes.Repeat([]byte("1"), 20<<20))
			s, l := openSource(t, dir), tarLayout(Plain)
			a := one(t, s, l)
			p := newPacker(t, s, l, a)
			defer release(p)
			packWhile(t, p, func(part int) error {
				if part != 1 {
					return nil
				}
				file, planned := filepath.Join(dir, "a"), a.Entries[0].ModTime
				return errors.Join(tc.change(file), os.Chtimes(file, planned, planned))
			})
			packed := p.Packed()[0]
			if !errors.Is(packed.Err, tc.want) || (packed.Digest == ContentDigest{}) != (tc.want != nil) {
				t.Errorf("%v, digest %v; want %v", packed.Err, packed.Digest, tc.want)
			}
		})
	}
}

func TestFormatTime(t *testing.T) {
	for want, at := range map[string]time.Time{
		"0": time.Unix(0, 0), "1.5": time.Unix(1, 500_000_000), "-1": time.Unix(-1, 0),
		"-0.5": time.Unix(-1, 500_000_000), "-1.25": time.Unix(-2, 750_000_000), "12.000000001": time.Unix(12, 1),
	} {
		if got := formatTime(at); got != want {
			t.Errorf("%v: %q, want %q", at, got, want)
		}
	}
}

func TestRecordLengthCountsItself(t *testing.T) {
	for n := range 1200 {
		r := record{"path", strings.Repeat("x", n)}.encode()
		if got := fmt.Sprint(len(r)); !strings.HasPrefix(r, got+" path=") {
			t.Fatalf("record of %d bytes begins with %.12q", len(r), r)
		}
	}
}
