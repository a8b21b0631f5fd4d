package archive

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// motley makes a tree with one of everything that a tar can hold.
func motley(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	long := strings.Repeat("long-name-", 20)
	random := rand.NewChaCha8([32]byte{1})
	for name, size := range map[string]int{
		"empty": 0, "a/one": 1, "a/block": blockSize, "a/odd": 70_001, "two-frames": 2*FrameSize + 17, "large": 9 << 20,
		"deep/" + long + "/" + long + "/file": 3, "grüße/übung": 5, "b/\xff\xfe": 7,
		strings.Repeat("d", 60) + "/" + strings.Repeat("e", 60) + "/" + strings.Repeat("f", 90): 11,
	} {
		content := make([]byte, size)
		_, _ = random.Read(content)
		writeContent(tb, dir, name, content)
	}
	must := func(err error) {
		if err != nil {
			tb.Helper()
			tb.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	must(os.MkdirAll(in("hollow/empty-directory"), 0o750))
	must(os.Symlink("../a/one", in("b/link")))
	must(os.Symlink(long+long, in("dangling")))
	must(os.Link(in("a/odd"), in("b/odd-too")))
	must(os.Link(in("a/odd"), in("odd-three")))
	sparse, err := os.Create(in("sparse"))
	must(err)
	_, err = sparse.WriteAt(bytes.Repeat([]byte("x"), 100), 1<<20)
	must(err)
	_, err = sparse.WriteAt(bytes.Repeat([]byte("y"), 5000), 10<<20)
	must(err)
	must(sparse.Truncate(30 << 20))
	must(sparse.Close())
	must(os.WriteFile(in("hole"), nil, 0o600))
	must(os.Truncate(in("hole"), 1<<20))
	must(os.Chmod(in("a/one"), 0o4755))
	must(os.Chmod(in("a"), 0o1777))
	must(unix.Setxattr(in("a/one"), "user.origin", []byte("line 1\nline 2\x00"), 0))
	must(unix.Setxattr(in("a"), "user.kind", []byte("directory"), 0))
	// Times last, and those of directories after what changes them.
	var names []string
	must(filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error { names = append(names, p); return err }))
	slices.Reverse(names)
	for i, p := range names {
		when := time.Date(1975+i, 1, 2, 3, 4, 5, 600_700_800+i, time.UTC)
		if i == 0 {
			when = time.Date(1965, 1, 2, 3, 4, 5, 0, time.UTC)
		}
		at := unix.NsecToTimespec(when.UnixNano())
		must(unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW))
	}
	return dir
}

func writeContent(tb testing.TB, dir, name string, content []byte) {
	tb.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(p, content, 0o644); err != nil {
		tb.Fatal(err)
	}
}

// thing is what is to be the same of a file in two trees.
type thing struct {
	Mode         fs.FileMode
	Size         int64
	ModTime      string
	UID, GID     uint32
	Content      string
	Link         string
	Attributes   string
	Names        uint64
	TakesItsSize bool
}

// things describes the tree below a directory, by path.
func things(tb testing.TB, dir string) map[string]thing {
	tb.Helper()
	all := map[string]thing{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		x := thing{
			Mode: info.Mode(), ModTime: info.ModTime().UTC().Format(time.RFC3339Nano),
			UID: st.Uid, GID: st.Gid, Names: uint64(st.Nlink),
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			x.Link, err = os.Readlink(p)
		case info.Mode().IsRegular():
			x.Size, x.TakesItsSize = info.Size(), st.Blocks*statBlock >= info.Size()
			x.Content, err = contentDigest(p)
		}
		if err == nil && info.Mode()&fs.ModeSymlink == 0 {
			x.Attributes, err = userAttributes(p)
		}
		rel, _ := filepath.Rel(dir, p)
		all[rel] = x
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func contentDigest(p string) (string, error) {
	f, err := os.Open(p)
	if err != nil {
		return "", err
	}
	defer release(f)
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

func userAttributes(p string) (string, error) {
	f, err := os.Open(p)
	if err != nil {
		return "", err
	}
	defer release(f)
	list, _, err := attributes(f)
	return fmt.Sprintf("%q", list), err
}
