package upload

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/s3/s3test"
)

// plannedFile is a file of the disk that is to be as it was planned.
type plannedFile struct {
	*os.File
	planned fs.FileInfo
}

func (f plannedFile) Unchanged() error {
	info, err := f.Stat()
	if err == nil && (info.Size() != f.planned.Size() || !info.ModTime().Equal(f.planned.ModTime())) {
		err = s3.ChangedError{Text: "it was modified"}
	}
	return err
}

// The bytes that are sent need not be those whose checksum was taken: the server rejects them, and
// the file is told to have changed, not the connection or the server to be bad.
func TestFileThatChangesBetweenItsReadings(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.Upload(t.Context(), newFile(100).file("first")); err != nil { // Which confirms the checksum.
		t.Fatal(err)
	}
	overwrite := func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // A test sees to it.
		_, err = f.WriteAt([]byte("something else"), 7*mebi)
		return err
	}
	for name, change := range map[string]func(path string) error{
		"overwritten": overwrite,
		"cut short":   func(path string) error { return os.Truncate(path, 3*mebi) },
	} {
		for kind, size := range map[string]int{"whole": 12 * mebi, "in parts": 40 * mebi} {
			t.Run(name+", sent "+kind, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "file")
				if err := os.WriteFile(path, newFile(size).content, 0o600); err != nil {
					t.Fatal(err)
				}
				planned, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				sends := func(q *http.Request) bool { return s3test.IsPut(q) || s3test.IsPart(q) }
				// The body follows the headers only once somebody asks for it.
				r.proxy.Times(1, sends, func(http.ResponseWriter, *http.Request) bool {
					if err := change(path); err != nil {
						t.Error(err)
					}
					return false
				})
				key := fmt.Sprintf("changing/%s-%d", name, size)
				_, err = r.Upload(t.Context(), File{
					Prefix: "prefix", Key: key, Size: int64(size),
					Open: func() (SourceFile, error) {
						f, err := os.Open(path)
						return plannedFile{f, planned}, err
					},
				})
				wantError(t, err, s3.Source, s3.ReasonChanged)
				r.wantNothing(t, key)
			})
		}
	}
}
