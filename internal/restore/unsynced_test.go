package restore_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
)

// lose has a file system lose the content of all files, as it does when it can't write them.
func lose(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), ".restoring-") {
			continue
		}
		info, err := os.Stat(name)
		if err == nil {
			err = errors.Join(os.WriteFile(name, make([]byte, info.Size()), 0o600), os.Chtimes(name, info.ModTime(), info.ModTime()))
		}
		if err != nil {
			t.Error(err)
		}
	}
}

// The file system says only when it is synced that it could not write what it had taken.
func TestFilesThatCouldNotBeWrittenAreRestoredAgain(t *testing.T) {
	dir, b := several(t)
	to := t.TempDir()
	o := restore.Options{Catalog: catalog(t, b), Dir: to}.WithSync(func() error {
		lose(t, to)
		return syscall.EIO
	})
	if s, err := restore.Run(t.Context(), o); !errors.Is(err, syscall.EIO) || s.Files != 0 || s.Bytes != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if s := run(t, b, restore.Options{Dir: to}); s.Present > 0 {
		t.Errorf("%+v", s)
	}
	if diff := cmp.Diff(describe(t, dir), describe(t, to)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What an archive has placed is removed when the sync of another one fails, so that it fails, too.
func TestASyncThatFailsFailsAllArchivesUnderWay(t *testing.T) {
	_, b := several(t)
	var all []archive.Manifest
	for m, err := range catalog(t, b).Manifests(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	failing := error(syscall.EIO)
	var s *restore.Session
	begun := false
	within := &meeting{b, func(_ int64, body io.ReadCloser) io.ReadCloser {
		if !begun {
			begun = true
			if _, err := s.Archive(t.Context(), all[1]); !errors.Is(err, syscall.EIO) {
				t.Errorf("the one whose sync fails: %v", err)
			}
			failing = nil
		}
		return body
	}}
	s, err := restore.NewSession(restore.Options{Catalog: open(t, within), Dir: t.TempDir()}.WithSync(func() error { return failing }), "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // Nothing is left to be written.
	if _, err := s.Archive(t.Context(), all[0]); !errors.Is(err, syscall.EIO) {
		t.Errorf("the other: %v", err)
	}
	for _, m := range all {
		members, err := s.Archive(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if got := (archive.Manifest{Members: members}).Tally(); got.Done.Files != int64(len(m.Members)) {
			t.Errorf("once more: %v of %d", got.Done, len(m.Members))
		}
	}
}
