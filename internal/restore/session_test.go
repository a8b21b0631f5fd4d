package restore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

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
