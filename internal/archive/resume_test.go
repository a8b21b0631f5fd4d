package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// linked makes files with one name, or with another one below other/.
func linked(t *rapid.T, tb testing.TB, count int) string {
	dir, err := os.MkdirTemp(tb.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "other"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		writeFile(tb, dir, fmt.Sprintf("f%02d", i), 10)
		if rapid.Bool().Draw(t, "two names") {
			relink(t, dir, i)
		}
	}
	return dir
}

// relink removes the other name of a file, or gives it one.
func relink(t *rapid.T, dir string, i int) {
	other := filepath.Join(dir, fmt.Sprintf("other/f%02d", i))
	err := os.Remove(other)
	if errors.Is(err, os.ErrNotExist) {
		err = os.Link(filepath.Join(dir, fmt.Sprintf("f%02d", i)), other)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever other names files get or lose while a planner is dead, and even if another machine sees
// other inodes, each file that is there all the time is listed exactly once.
func TestAPlannerThatResumesListsFilesOnceWhateverTheirOtherNames(t *testing.T) {
	const count = 40
	rapid.Check(t, func(rt *rapid.T) {
		dir, store := linked(rt, t, count), newMapStore()
		l := tarLayout(Plain)
		l.Count = rapid.IntRange(2, 4).Draw(rt, "prefixes")
		p := &Planner{Store: store, Layout: l, bounds: bounds{files: rapid.IntRange(1, 4).Draw(rt, "files per archive")}, FlushInterval: time.Hour}
		for {
			store.failing, store.failAfter = false, rapid.IntRange(0, 8).Draw(rt, "writes")
			p.Source = openSource(t, dir)
			plan, err := p.Run(t.Context(), func(Plan) {})
			if err == nil {
				checkListedOnce(rt, NewInventory(store, plan.Layout), plan, count)
				return
			}
			if !errors.Is(err, errStore) {
				rt.Fatal(err)
			}
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, count-1), 0, 8).Draw(rt, "relinked") {
				relink(rt, dir, i)
			}
			if rapid.Bool().Draw(rt, "other inodes") {
				dir = linked(rt, t, count)
			}
		}
	})
}

func checkListedOnce(t *rapid.T, inventory *Inventory, plan Plan, count int) {
	listed := map[string]int{}
	for _, prefix := range plan.Prefixes {
		for n := range prefix.Archives {
			a, err := inventory.Archive(t.Context(), prefix.Name, n)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range a.Entries {
				listed[e.Path]++
			}
		}
	}
	for i := range count {
		if p := fmt.Sprintf("f%02d", i); listed[p] != 1 {
			t.Errorf("%s is listed %d times", p, listed[p])
		}
	}
	for p, times := range listed {
		if times > 1 {
			t.Errorf("%s is listed %d times", p, times)
		}
	}
}
