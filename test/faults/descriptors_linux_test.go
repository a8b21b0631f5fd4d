package faults

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

// TestFewFilesMayBeOpen copies, verifies and restores many files where a process may have
// few open. Nothing fails, and the limit is named.
func TestFewFilesMayBeOpen(t *testing.T) {
	for _, limit := range []int{32, 64} {
		for _, packing := range []string{"objects", "tar"} {
			t.Run(fmt.Sprintf("%d/%s", limit, packing), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, lab.Conditions{ServiceTime: &lab.ServiceTime{Median: 20 * time.Millisecond, P99: 40 * time.Millisecond}})
				for i := range 400 {
					r.write(t, fmt.Sprintf("d%02d/%03d", i/40, i), 3*kibi)
				}
				r.write(t, "huge", 5*partSize)
				r.asNobody(t)
				letInBelow(t, r.source)
				line := fmt.Sprintf(`ulimit -n %d; exec "$@"`, limit)
				o := r.wrapped(t, line, "copy", r.source, destination, "--packing", packing).end(t)
				if o.code != 0 || o.Failed != 0 || strings.Contains(o.stderr, "too many open files") {
					t.Fatalf("exit code %d, %d failed: %s", o.code, o.Failed, o.stderr)
				}
				if !strings.Contains(o.stderr, fmt.Sprintf("limit=%d", limit)) || !strings.Contains(o.stderr, "ulimit -n") {
					t.Errorf("the limit is not named: %s", o.stderr)
				}
				restored := filepath.Join(t.TempDir(), "restored")
				r.user = nil
				for _, arguments := range [][]string{{"verify", destination, "--read-back"}, {"restore", destination, restored}} {
					if o := r.wrapped(t, line, arguments...).end(t); o.code != 0 {
						t.Fatalf("%s: exit code %d: %s", arguments[0], o.code, o.stderr)
					}
				}
				wantSameTree(t, r.source, restored)
				r.wantNoUploads(t)
			})
		}
	}
}

// letInBelow opens a tree to all users.
func letInBelow(t *testing.T, dir string) {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if found, _ := filepath.Glob(filepath.Join(entry, "*")); len(found) > 0 {
			letIn(t, entry)
		}
	}
}
