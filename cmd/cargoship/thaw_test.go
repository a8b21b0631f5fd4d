package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/lab/labtest"
)

// A restore from Glacier tells what it costs, begins the thaw, says so by its exit code, and
// restores the rest when it is run again.
func TestARestoreFromGlacierIsBegunAndRunAgain(t *testing.T) {
	t.Parallel()
	d, dir, g := inGlacier(t, 0)
	to := t.TempDir()
	restore := func(more ...string) result {
		return work(t, d.reach(append([]string{"restore", "s3://" + bucket + "/base", to}, more...)...)...)
	}
	if r := restore(); r.code != cli.ExitFailure || !strings.Contains(r.stderr, "restore with --thaw") {
		t.Errorf("without --thaw: exit code %d: %s", r.code, r.stderr)
	}
	if r := restore("--thaw", "bulk"); r.code != cli.ExitUsage {
		t.Errorf("without --max-cost: exit code %d: %s", r.code, r.stderr)
	}
	if r := restore("--thaw", "expedited", "--max-cost", "0.00001"); r.code != cli.ExitFailure || !strings.Contains(r.stderr, "nothing was thawed") || len(g.Asked()) > 0 {
		t.Errorf("beyond the ceiling: exit code %d, asked for %q: %s", r.code, g.Asked(), r.stderr)
	}
	for range 2 { // the second time it is thawing already
		r := restore("--thaw", "standard", "--max-cost", "1", "--thaw-days", "2")
		if r.code != exitThawing || !strings.Contains(r.stderr, "thaw") || len(g.Asked()) == 0 || !strings.HasSuffix(g.Asked()[0], " Standard 2") {
			t.Errorf("begun: exit code %d, asked for %q: %s", r.code, g.Asked(), r.stderr)
		}
	}
	g.Thaw(nil)
	if r := restore("--thaw", "standard", "--max-cost", "1"); r.code != 0 {
		t.Errorf("thawed: exit code %d: %s", r.code, r.stderr)
	}
	if diff := cmp.Diff(fileDigests(t, dir, ""), fileDigests(t, to, "")); diff != "" {
		t.Errorf("the target differs (-source +target):\n%s", diff)
	}
}

func TestARestoreWaitsForAThaw(t *testing.T) {
	t.Parallel()
	d, dir, _ := inGlacier(t, 1500*time.Millisecond)
	to := t.TempDir()
	r := work(t, d.reach("restore", "s3://"+bucket+"/base", to, "--thaw", "bulk", "--max-cost", "1", "--wait")...)
	if r.code != 0 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	if diff := cmp.Diff(fileDigests(t, dir, ""), fileDigests(t, to, "")); diff != "" {
		t.Errorf("the target differs (-source +target):\n%s", diff)
	}
}

// inGlacier is a packed copy of a directory whose archives are in Glacier, and readable some
// time after they were asked for; 0 stands for not until Thaw.
func inGlacier(t *testing.T, takes time.Duration) (*destination, string, *lab.Glacier) {
	t.Helper()
	d := newDestination(t)
	g := &lab.Glacier{Class: "GLACIER", Takes: takes, Archived: func(_, key string) bool { return strings.Contains(key, ".tar") }}
	d.Endpoint = labtest.NewGlacier(t, d.Endpoint, g)
	dir := t.TempDir()
	manyFiles(t, dir, 40)
	if r := work(t, d.args(dir, "base", "--packing", "tar", "--target-size", "1Mi")...); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	return d, dir, g
}
