package archive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A planner that is cut short any number of times, at any write, torn or not,
// in the end has listed every entry once, in the archives an undisturbed walk makes.
func TestPlannerResumesAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		for _, p := range distinctFiles(rt) {
			writeFile(t, dir, p, rapid.Int64Range(0, 30).Draw(rt, "size"))
		}
		source := openSource(t, dir)
		source.pageNames = rapid.IntRange(1, 9).Draw(rt, "page")
		planner := &Planner{
			Source: source, Store: newMapStore(),
			Layout:        planLayouts().Draw(rt, "layout"),
			bounds:        bounds{files: rapid.IntRange(1, 4).Draw(rt, "files per archive"), bytes: 40, large: 25},
			FlushInterval: rapid.SampledFrom([]time.Duration{1, time.Hour}).Draw(rt, "flush"),
		}
		plan := planUntilComplete(rt, planner)
		checkPlan(rt, planner, plan)
	})
}

func distinctFiles(t *rapid.T) []string {
	name := rapid.SampledFrom([]string{"a", "b", "c", "a-b", "d\xff", "e"})
	p := rapid.Custom(func(t *rapid.T) string {
		// The depth is part of every name, so that none is a file here and a directory there.
		parts := rapid.SliceOfN(name, 1, 3).Draw(t, "parts")
		return strings.Join(parts, "/") + ".f"
	})
	return rapid.SliceOfNDistinct(p, 0, 40, rapid.ID).Draw(t, "paths")
}

func planLayouts() *rapid.Generator[Layout] {
	return rapid.SampledFrom([]Layout{
		{Pattern: Mirror, UID: "uid"},
		{Pattern: Mirror, Count: 2, UID: "uid", Base: "base"},
		{Pattern: Hash, Count: 3, UID: "uid"},
		{Pattern: Explicit, Names: []string{"x", "y"}, UID: "uid", Base: "a/b"},
	})
}

func planUntilComplete(t *rapid.T, p *Planner) Plan {
	store := p.Store.(*mapStore)
	for {
		store.failing = false
		store.failAfter = rapid.IntRange(0, 4).Draw(t, "writes")
		store.torn = rapid.Bool().Draw(t, "torn")
		before := maps.Clone(store.objects)
		plan, err := p.Run(context.Background(), func(Plan) {})
		for key := range before {
			if key != p.Layout.PlanKey() && string(before[key]) != string(store.objects[key]) {
				t.Fatalf("%s was written again", key)
			}
		}
		if err == nil {
			return plan
		}
		if !errors.Is(err, errStore) {
			t.Fatal(err)
		}
	}
}

// checkPlan compares what is listed with what an undisturbed walk finds.
func checkPlan(t *rapid.T, p *Planner, plan Plan) {
	ctx := context.Background()
	stored, found, err := ReadPlan(ctx, p.Store, p.Layout)
	if err != nil || !found || !stored.Complete {
		t.Fatalf("plan %+v, found %v, %v", stored, found, err)
	}
	if diff := cmp.Diff(plan, stored); diff != "" {
		t.Fatalf("returned and stored plan (-returned +stored):\n%s", diff)
	}
	want := map[string][]Archive{}
	o := WalkOptions{Layout: plan.Layout, bounds: p.bounds}
	_, err = p.Source.Walk(ctx, o, func(a Archive) error {
		want[a.Prefix] = append(want[a.Prefix], a)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	inventory := NewInventory(p.Store, plan.Layout)
	got := map[string][]Archive{}
	for _, prefix := range plan.Prefixes {
		sums := PlannedPrefix{Name: prefix.Name}
		for n := range prefix.Archives {
			a, err := inventory.Archive(ctx, prefix.Name, n)
			if err != nil {
				t.Fatal(err)
			}
			got[prefix.Name] = append(got[prefix.Name], a)
			sums.Archives++
			sums.Files += a.Files()
			sums.Bytes += a.Bytes()
		}
		if sums != prefix {
			t.Fatalf("prefix %+v holds %+v", prefix, sums)
		}
		if _, err := inventory.Archive(ctx, prefix.Name, prefix.Archives); !errors.Is(err, ErrNotListed) {
			t.Fatalf("archive %d beyond the last: %v", prefix.Archives, err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("archives (-walked +listed):\n%s", diff)
	}
}

func TestPlannerReportsOnlyWhatIsListed(t *testing.T) {
	files := map[string]int64{}
	for i := range 50 {
		files[fmt.Sprintf("a/%02d", i)] = 1
	}
	_, s := tree(t, files)
	store := newMapStore()
	p := &Planner{Source: s, Store: store, Layout: Layout{Pattern: Mirror, UID: "uid"}, bounds: bounds{files: 1}, FlushInterval: time.Hour}
	inventory := NewInventory(store, mirror(".", "a", "*"))
	var seen []int64
	plan, err := p.Run(t.Context(), func(plan Plan) {
		for _, prefix := range plan.Prefixes {
			if _, err := inventory.Archive(t.Context(), prefix.Name, prefix.Archives-1); err != nil {
				t.Error(err)
			}
			seen = append(seen, prefix.Archives)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	// Shards of 1, 2, 4, 8, 16 archives, then the rest; then the complete plan.
	if diff := cmp.Diff([]int64{1, 3, 7, 15, 31, 50, 50}, seen); diff != "" {
		t.Errorf("archives reported (-want +got):\n%s", diff)
	}
	if want := (PlannedPrefix{"a", 50, 50, 50}); !plan.Complete || len(plan.Prefixes) != 1 || plan.Prefixes[0] != want {
		t.Errorf("plan %+v, want %+v", plan, want)
	}
	// A complete plan is not walked again.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := p.Run(t.Context(), func(Plan) {})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan, again); diff != "" {
		t.Errorf("plan (-first +again):\n%s", diff)
	}
}

// An archive that is ready is listed soon, even while the walk finds no more.
func TestPlannerListsWhileTheWalkIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Planner{Store: newMapStore(), FlushInterval: time.Second}
		l := mirror("*")
		w, err := p.openWriter(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		w.pending[0].target = maxShardArchives
		archives := make(chan Archive)
		reported := make(chan time.Duration, 1)
		start := time.Now()
		done := make(chan error)
		go func() {
			done <- p.write(t.Context(), w, archives, func() { reported <- time.Since(start) })
		}()
		archives <- Archive{Prefix: "*", Entries: []Entry{{Path: "f"}}}
		if waited := <-reported; waited < time.Second || waited > 1250*time.Millisecond {
			t.Errorf("listed after %v, want 1s to 1.25s", waited)
		}
		close(archives)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestPlannerBoundsAShard(t *testing.T) {
	p := &Planner{Store: newMapStore()}
	w, err := p.openWriter(t.Context(), mirror("*"))
	if err != nil {
		t.Fatal(err)
	}
	w.pending[0].target = maxShardArchives
	a := Archive{Prefix: "*", Entries: make([]Entry, 1000)}
	for i := range a.Entries {
		a.Entries[i].Path = fmt.Sprint(i)
	}
	for a.Number = range int64(66) {
		if err := w.add(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.pending[0].listed.Archives; got != 66 {
		t.Errorf("%d archives written, want 66, the first to make %d files", got, maxShardFiles)
	}
}

// What no transfer can move is refused while it is listed, whatever its sums come to.
func TestPlannerRefusesTooMuch(t *testing.T) {
	tests := map[string]struct {
		sizes []int64
		want  bool
	}{
		"the most":                 {[]int64{maxPlannedBytes - 1, 1}, false},
		"a byte more":              {[]int64{maxPlannedBytes, 1}, true},
		"files larger than counts": {[]int64{math.MaxInt64, math.MaxInt64, 2}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := &Planner{Store: newMapStore()}
			w, err := p.openWriter(t.Context(), mirror("*"))
			if err != nil {
				t.Fatal(err)
			}
			a := Archive{Prefix: "*"}
			for i, size := range tc.sizes {
				a.Entries = append(a.Entries, Entry{Path: fmt.Sprint(i), Size: size})
			}
			err = w.add(t.Context(), a)
			var refused *tooLargeError
			if errors.As(err, &refused) != tc.want {
				t.Errorf("listing files of %v bytes gives %v", tc.sizes, err)
			}
		})
	}
}

func TestPlannerStopsWithItsContext(t *testing.T) {
	_, s := tree(t, map[string]int64{"a": 1})
	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	p := &Planner{Source: s, Store: newMapStore(), Layout: Layout{Pattern: Hash, Count: 1, UID: "uid"}}
	_, err := p.Run(ctx, func(Plan) { cancel(stop) })
	if !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
}

func TestInventoryFind(t *testing.T) {
	files := map[string]int64{}
	for i := range 200 {
		files[fmt.Sprintf("a%d/f%03d", i%7, i)] = int64(i)
	}
	_, s := tree(t, files)
	store := newMapStore()
	l := Layout{Pattern: Hash, Count: 2, UID: "uid"}
	p := &Planner{Source: s, Store: store, Layout: l, bounds: bounds{files: 3}}
	if _, err := p.Run(t.Context(), func(Plan) {}); err != nil {
		t.Fatal(err)
	}
	inventory := NewInventory(store, l)
	for path, size := range files {
		number, e, err := inventory.Find(t.Context(), l.Prefix(path), path)
		if err != nil || e.Path != path || e.Size != size {
			t.Fatalf("Find(%q) = %+v, %v", path, e, err)
		}
		a, err := inventory.Archive(t.Context(), l.Prefix(path), number)
		if err != nil || !slices.ContainsFunc(a.Entries, func(e Entry) bool { return e.Path == path }) {
			t.Fatalf("archive %d, %v, doesn't hold %q", number, err, path)
		}
	}
	for _, path := range []string{"a", "a0/f", "a3/f0005", "zzz"} {
		if _, _, err := inventory.Find(t.Context(), l.Prefix(path), path); !errors.Is(err, ErrNotListed) {
			t.Errorf("Find(%q): %v, want %v", path, err, ErrNotListed)
		}
	}
	if _, _, err := NewInventory(newMapStore(), l).Find(t.Context(), "00", "f"); !errors.Is(err, ErrNotListed) {
		t.Errorf("in an empty inventory: %v, want %v", err, ErrNotListed)
	}
}

func TestInventoryReadsEachShardOnce(t *testing.T) {
	files := map[string]int64{}
	for i := range 100 {
		files[fmt.Sprintf("f%03d", i)] = 1
	}
	_, s := tree(t, files)
	store := newMapStore()
	l := Layout{Pattern: Hash, Count: 1, UID: "uid"}
	p := &Planner{Source: s, Store: store, Layout: l, bounds: bounds{files: 1}, FlushInterval: time.Hour}
	if _, err := p.Run(t.Context(), func(Plan) {}); err != nil {
		t.Fatal(err)
	}
	inventory := NewInventory(store, l)
	store.gets, store.lists = 0, 0
	for n := range int64(100) {
		if _, err := inventory.Archive(t.Context(), "00", n); err != nil {
			t.Fatal(err)
		}
	}
	if store.gets != 7 || store.lists != 1 {
		t.Errorf("%d reads and %d listings, want 7 and 1", store.gets, store.lists)
	}
}

// twice lists each key twice, as some servers do with the last key of a page.
type twice struct{ *mapStore }

func (s twice) List(ctx context.Context, prefix string) ([]string, error) {
	keys, err := s.mapStore.List(ctx, prefix)
	return append(keys, keys...), err
}

func TestAShardThatIsListedTwiceIsReadOnce(t *testing.T) {
	_, s := tree(t, map[string]int64{"a": 1, "b": 2})
	store := twice{newMapStore()}
	plan, err := (&Planner{Source: s, Store: store, Layout: mirror(RestPrefix)}).Run(t.Context(), func(Plan) {})
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for a, err := range NewInventory(store, plan.Layout).Listed(t.Context(), RestPrefix) {
		if err != nil {
			t.Fatal(err)
		}
		listed += int(a.Files)
	}
	if listed != 2 {
		t.Errorf("%d files are listed, want 2", listed)
	}
}

func TestInventoryForgetsOldShards(t *testing.T) {
	c := shardCache{limit: 10}
	for i := range 4 {
		c.put(fmt.Sprint(i), &shard{frames: make([]byte, 4)})
		c.get("0")
	}
	var kept []string
	for _, s := range c.shards {
		kept = append(kept, s.key)
	}
	if diff := cmp.Diff([]string{"3", "0"}, kept); diff != "" || c.size != 8 {
		t.Errorf("%d bytes kept; keys (-want +got):\n%s", c.size, diff)
	}
}
