package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cargoship.dev/operator/lab"
)

// packed are the arguments of a packed, synced copy of several archives on each of two
// prefixes, some of them sent in parts, and a large file apart.
var packed = []string{
	"--packing", "tar", "--compression", "none", "--prefixes", "2", "--target-size", "18Mi",
	"--large-file-threshold", "17Mi", "--sync", "size-and-time",
}

// tree is what a source held at a time.
type tree map[string][32]byte

// TestCommitPoint changes a source, repeats a packed, synced copy of it, and kills that at
// random times. At every moment the run before or the new one can be restored whole.
func TestCommitPoint(t *testing.T) {
	r := newRig(t, lab.Conditions{Bandwidth: &lab.Bandwidth{SharedMegabits: 800}})
	random := rand.New(rand.NewPCG(chosen.seed, 2))
	for i := range 24 {
		r.write(t, fmt.Sprintf("d%d/%d", i%3, i), int64(1+random.IntN(3*mebi)))
	}
	r.write(t, "large", 18*mebi)
	r.write(t, "z/middle", 16*mebi)
	r.wantCommitted(t, r.copy(t, packed...))
	before := r.tree(t)
	for kills := 0; kills < chosen.kills; {
		r.change(t, random, kills)
		now := r.tree(t)
		for range 1 + random.IntN(3) {
			c := r.begin(t, packed...)
			time.Sleep(time.Duration(random.Int64N(int64(700 * time.Millisecond))))
			if err := c.child.Stop(0); err != nil {
				t.Fatal(err)
			}
			kills++
			counted.kills.Add(1)
			r.settled(t)
			r.wantOneOf(t, before, now)
		}
		r.wantCommitted(t, r.copy(t, packed...))
		r.wantOneOf(t, now)
		r.wantNoUploads(t)
		if t.Failed() {
			t.Fatalf("after %d kills with seed %d", kills, chosen.seed)
		}
		before = now
	}
}

// change adds a file that comes first, so that all archives of a prefix become others,
// changes a file and removes one.
func (r *rig) change(t *testing.T, random *rand.Rand, n int) {
	t.Helper()
	r.write(t, fmt.Sprintf("a/%08d", 1<<20-n), int64(1+random.IntN(mebi)))
	r.write(t, fmt.Sprintf("d1/%d", 1+3*random.IntN(8)), int64(1+random.IntN(3*mebi)))
	if err := os.RemoveAll(filepath.Join(r.source, fmt.Sprintf("a/%08d", 1<<20-random.IntN(n+1)+3))); err != nil {
		t.Fatal(err)
	}
}

// tree takes the digests of the source.
func (r *rig) tree(t *testing.T) tree {
	t.Helper()
	all := tree{}
	digests(t, r.source, all)
	return all
}

// settled waits until the server has nothing to do any more for a copy that was killed.
func (r *rig) settled(t *testing.T) {
	t.Helper()
	await(t, "requests of the killed copy to end", func() bool { return r.Stats().Total.InFlight == 0 })
	time.Sleep(50 * time.Millisecond)
}

func (r *rig) wantCommitted(t *testing.T, o outcome) {
	t.Helper()
	if o.code != 0 || o.Failed != 0 {
		t.Errorf("exit code %d, %d files failed, want 0: %s", o.code, o.Failed, o.stderr)
	}
	if v := r.start(t, "verify", destination, "--read-back").end(t); v.code != 0 {
		t.Errorf("verify: exit code %d: %s", v.code, v.stderr)
	}
}

// wantOneOf restores and fails unless that is one of the trees, whole.
func (r *rig) wantOneOf(t *testing.T, trees ...tree) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "to")
	if o := r.start(t, "restore", destination, to).end(t); o.code != 0 {
		t.Errorf("restore: exit code %d: %s", o.code, o.stderr)
		return
	}
	got := tree{}
	digests(t, to, got)
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	var differ []string
	for _, want := range trees {
		text := difference(want, got)
		if text == "" {
			counted.digests.Add(int64(len(got)))
			return
		}
		differ = append(differ, text)
	}
	counted.differing.Add(1)
	t.Errorf("what was restored is neither the tree before nor the new one: %s", strings.Join(differ, "; "))
}

// difference names a file in which two trees differ, "" if there is none.
func difference(want, got tree) string {
	for name, sum := range want {
		if other, there := got[name]; !there || other != sum {
			return fmt.Sprintf("%q is there: %v, of %d and %d files", name, there, len(want), len(got))
		}
	}
	for name := range got {
		if _, there := want[name]; !there {
			return fmt.Sprintf("%q is one too many", name)
		}
	}
	return ""
}
