package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"cargoship.dev/operator/internal/archive"
)

func TestFinishLeavesItsError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "termination-log")
	leaveMessage(path, errors.New("nobody reads it"))
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was made where there was none")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _ := work(t, "finish", "--termination-log", path)
	left, err := os.ReadFile(path)
	if err != nil || code != 1 || len(left) == 0 {
		t.Errorf("exit code %d, left %q: %v", code, left, err)
	}
}

func TestExpectedCounts(t *testing.T) {
	var c archive.Count
	for _, text := range []string{"", "1", "1/", "/1", "-1/1", "1/2/3", "a/b"} {
		if err := (*countValue)(&c).Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	if err := (*countValue)(&c).Set("12/3456"); err != nil || c != (archive.Count{Files: 12, Bytes: 3456}) {
		t.Errorf("%+v, %v", c, err)
	}
	if code, said := work(t, "finish", "--expect-done=1/1"); code != 2 {
		t.Errorf("exit code %d for one count of four: %s", code, said)
	}
}
