package restore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/restore"
)

// meeting has every range that is opened pass through a function.
type meeting struct {
	*bucket
	open func(offset int64, body io.ReadCloser) io.ReadCloser
}

func (m *meeting) OpenRange(ctx context.Context, key, etag string, offset, length int64) (io.ReadCloser, error) {
	body, err := m.bucket.OpenRange(ctx, key, etag, offset, length)
	if err != nil {
		return nil, err
	}
	return m.open(offset, body), nil
}

// closing calls a function when it is closed.
type closing struct {
	io.Reader
	call func()
}

func (c closing) Close() error {
	c.call()
	return nil
}

// stuck ends with an error once that is allowed.
type stuck struct{ until <-chan struct{} }

func (s stuck) Read([]byte) (int, error) {
	<-s.until
	return 0, errors.New("the connection was lost")
}

func open(t *testing.T, b restore.Bucket) *restore.Catalog {
	t.Helper()
	c, err := restore.Open(t.Context(), b, "base", "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Two processes restore one file: none gives the file that the other is writing its name.
func TestTwoMayRestoreOneFileAtOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "large", 20<<20) // three ranges
	b := archived(t, dir, zstd())
	to := t.TempDir()
	// The second has all but the first range, and waits for its server until it is killed.
	killed, tail, secondDone := make(chan struct{}), make(chan struct{}, 2), make(chan struct{})
	second := &meeting{b, func(offset int64, body io.ReadCloser) io.ReadCloser {
		if offset == 0 {
			return io.NopCloser(stuck{killed})
		}
		return closing{body, func() { tail <- struct{}{} }}
	}}
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	begin := func() {
		go func() {
			defer close(secondDone)
			_, _ = restore.Run(ctx, restore.Options{Catalog: open(t, second), Dir: to})
		}()
		<-tail
		<-tail
	}
	// The first has read everything when the second begins.
	closed := make(chan struct{}, 3)
	first := &meeting{b, func(_ int64, body io.ReadCloser) io.ReadCloser {
		return closing{body, func() {
			if closed <- struct{}{}; len(closed) == cap(closed) {
				begin()
			}
		}}
	}}
	s := restored(t, restore.Options{Catalog: open(t, first), Dir: to})
	kill()
	close(killed)
	<-secondDone
	if diff := cmp.Diff(describe(t, dir), describe(t, to)); diff != "" || s.Files != 1 {
		t.Errorf("%+v (-want +got):\n%s", s, diff)
	}
}

// halfway restores into a directory, and returns what a process leaves there that is killed while it
// writes the first file.
func halfway(t *testing.T, b *bucket) string {
	t.Helper()
	to, left := t.TempDir(), t.TempDir()
	seen := false
	m := &meeting{b, func(_ int64, body io.ReadCloser) io.ReadCloser {
		all, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		return io.NopCloser(io.MultiReader(bytes.NewReader(all[:len(all)/2]), readerFunc(func([]byte) (int, error) {
			if err := os.CopyFS(left, os.DirFS(to)); err != nil && !seen {
				t.Error(err)
			}
			seen = true
			return 0, io.EOF
		}), bytes.NewReader(all[len(all)/2:])))
	}}
	restored(t, restore.Options{Catalog: open(t, m), Dir: to})
	return left
}

type readerFunc func([]byte) (int, error)

func (r readerFunc) Read(p []byte) (int, error) { return r(p) }

// leftovers are the temporary files in a tree.
func leftovers(t *testing.T, dir string) (all []string) {
	t.Helper()
	for p := range describe(t, dir) {
		if strings.HasPrefix(filepath.Base(p), ".restoring-") {
			all = append(all, p)
		}
	}
	return all
}

// What a killed restore has left is removed when it is repeated. What of it was archived comes back.
func TestLeftoversAreRemovedUnlessTheyWereArchived(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "x/f", 3<<20)
	b := archived(t, dir, zstd())
	to := halfway(t, b)
	if left := leftovers(t, to); len(left) != 1 {
		t.Fatalf("%q is left", left)
	}
	write(t, to, "x/f", 10)
	another := archivedAs(t, to, zstd(), "another")
	want := describe(t, to)
	run(t, b, restore.Options{Dir: to})
	if left := leftovers(t, to); len(left) > 0 {
		t.Errorf("%q is still there", left)
	}
	to = t.TempDir()
	c, err := restore.Open(t.Context(), another, "base", "")
	if err != nil {
		t.Fatal(err)
	}
	restored(t, restore.Options{Catalog: c, Dir: to})
	if diff := cmp.Diff(want, describe(t, to)); diff != "" {
		t.Errorf("what was archived (-want +got):\n%s", diff)
	}
}

// Files that others make while an archive is read are conflicts as those that were there before.
func TestFilesMadeMeanwhileAreNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", 1000)
	write(t, dir, "b", 1001)
	if err := errors.Join(os.Symlink("a", filepath.Join(dir, "l")), os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "m"))); err != nil {
		t.Fatal(err)
	}
	for conflicts, failed := range map[restore.Conflicts]int64{restore.Fail: 3, restore.Keep: 0} {
		b := archived(t, dir, zstd())
		to := t.TempDir()
		b.opened = func() {
			for _, name := range []string{"b", "l", "m"} {
				if err := os.WriteFile(filepath.Join(to, name), []byte("the only copy"), 0o600); err != nil {
					t.Error(err)
				}
			}
		}
		if s := run(t, b, restore.Options{Dir: to, Conflicts: conflicts}); s.Files != 1 || s.Failed != failed {
			t.Errorf("%s: %+v", conflicts, s)
		}
		for _, name := range []string{"b", "l", "m"} {
			if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != "the only copy" {
				t.Errorf("%s: %s has %q, %v", conflicts, name, got, err)
			}
		}
		if left := leftovers(t, to); len(left) > 0 {
			t.Errorf("%s: %q is left", conflicts, left)
		}
	}
}
