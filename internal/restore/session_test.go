package restore_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// What a server can't answer now fails no file while others may try again; whoever finishes counts it, and
// says so.
func TestASessionTriesAgainWhatIsNotAnswered(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "packed", 100)
	write(t, dir, "object", 13<<20)
	b := archived(t, dir, zstd())
	internal := &s3.Error{Class: s3.Transient, Reason: s3.ReasonServerError, Err: errors.New("InternalError")}
	for name, key := range map[string]string{"packed": b.archives()[0], "object": "base/00/files/object"} {
		o := restore.Options{Catalog: catalog(t, b), Dir: t.TempDir()}
		m, err := o.Catalog.Manifest(t.Context(), "00", 0)
		if err != nil {
			t.Fatal(err)
		}
		s, err := restore.NewSession(o, "")
		if err != nil {
			t.Fatal(err)
		}
		b.refuses = map[string]error{key: internal}
		if members, err := s.Archive(t.Context(), m); !restore.Transient(err) {
			t.Errorf("%s: restored as %v, %v", name, members, err)
		}
		members, err := s.Finish(t.Context(), m)
		if unanswered := s.Unanswered(); err != nil || !restore.Transient(unanswered) {
			t.Errorf("%s: finished with %v, unanswered %v", name, err, unanswered)
		}
		for _, f := range members {
			if failed := f.Outcome == archive.Failed; failed != (f.Path == name) {
				t.Errorf("%s: %q is %s", name, f.Path, f.Outcome)
			}
		}
		b.refuses = nil
		if _, err := s.Archive(t.Context(), m); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(o.Dir, name)); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A worker restores any number of directories, whose attributes are the business of whoever finishes.
func TestASessionKeepsLittleOfADirectory(t *testing.T) {
	b := &bucket{objects: map[string][]byte{}}
	b.run(t, "uid", "name", time.Now(), member(b, "a"))
	s, err := restore.NewSession(restore.Options{Catalog: catalog(t, b), Dir: t.TempDir()}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // Nothing is read of it.
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // which empties pools
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const archives, each = 2, 1000
	before := heap()
	for n := range archives {
		var m archive.Manifest
		for i := range each {
			m.Members = append(m.Members, archive.Member{Path: fmt.Sprintf("directory-of-a-common-name-%d-%05d", n, i), Kind: archive.Directory, Mode: 0o755, Outcome: archive.Done})
		}
		if _, err := s.Archive(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if per := (heap() - before) / (archives * each); per > 200 {
		t.Errorf("%d bytes are kept of each directory", per)
	}
	runtime.KeepAlive(s)
}
