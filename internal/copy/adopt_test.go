package copy

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// bookkeeper is a bucket in memory with a clock of its own.
type bookkeeper struct {
	plans
	mu       sync.Mutex
	ahead    time.Duration
	modified map[string]time.Time
	uploads  []s3.OpenUpload
	// done is called after each request.
	done func()
}

func newBookkeeper() *bookkeeper {
	return &bookkeeper{plans: plans{objects: map[string][]byte{}}, modified: map[string]time.Time{}, done: func() {}}
}

func (b *bookkeeper) Get(ctx context.Context, key string) ([]byte, error) {
	defer b.done()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.plans.Get(ctx, key)
}

func (b *bookkeeper) Stat(ctx context.Context, key string) (s3.ObjectInfo, error) {
	_, err := b.Get(ctx, key)
	return s3.ObjectInfo{}, err
}

func (b *bookkeeper) Put(_ context.Context, key string, body []byte) error {
	b.mu.Lock()
	b.objects[key], b.modified[key] = body, time.Now().Add(b.ahead)
	b.mu.Unlock()
	b.done()
	return nil
}

func (b *bookkeeper) Delete(_ context.Context, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
	return nil
}

func (b *bookkeeper) List(_ context.Context, prefix string) (keys []string, err error) {
	defer b.done()
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(b.objects)), func(key string) bool { return !strings.HasPrefix(key, prefix) }), nil
}

func (b *bookkeeper) Objects(ctx context.Context, prefix string) iter.Seq2[s3.Stored, error] {
	return func(yield func(s3.Stored, error) bool) {
		keys, _ := b.List(ctx, prefix)
		for _, key := range keys {
			if !yield(s3.Stored{Key: key, Modified: b.modified[key]}, nil) {
				return
			}
		}
	}
}

func (b *bookkeeper) OpenUploads(_ context.Context, prefix string) ([]s3.OpenUpload, error) {
	return slices.DeleteFunc(slices.Clone(b.uploads), func(u s3.OpenUpload) bool { return !strings.HasPrefix(u.Key, prefix) }), nil
}

func (b *bookkeeper) AbortUpload(context.Context, s3.OpenUpload) error { return nil }

// begin begins a run as a process with a lock would, and returns its plan.
func (b *bookkeeper) begin(t *testing.T, source, lock string) (plan archive.Plan, resumed bool) {
	t.Helper()
	tar := &archive.Tar{Name: "a", TargetSize: 1 << 30, LargeFile: 64 << 20, Compression: archive.Zstd, Level: 3}
	o := Options{Layout: archive.Layout{Pattern: archive.Hash, Count: 1, Tar: tar}, Logger: slog.New(slog.DiscardHandler)}
	plan, resumed, err := beginRun(t.Context(), &o, b, source, sourceLock{held: true, name: lock})
	if err != nil {
		t.Fatal(err)
	}
	return plan, resumed
}

// TestOnlyARunThatIsDeadIsGoneOnWith has a second process begin some time after the first has
// begun, with all that names the source the same.
func TestOnlyARunThatIsDeadIsGoneOnWith(t *testing.T) {
	const long = 2 * quietTime
	marked := func(name string) func(b *bookkeeper, l archive.Layout) {
		return func(b *bookkeeper, l archive.Layout) { _ = b.Put(t.Context(), l.BookkeepingPrefix()+name, nil) }
	}
	for name, tc := range map[string]struct {
		first, second string
		// after is how long after the first the second begins, last what the first has done
		// at the end of that.
		after time.Duration
		last  func(b *bookkeeper, l archive.Layout)
		want  bool
	}{
		"its lock is free":                  {"boot 1", "boot 1", time.Second, nil, true},
		"another machine of the same names": {"boot 1", "boot 2", time.Second, nil, false},
		"no lock can be told":               {"", "", time.Second, nil, false},
		"quiet":                             {"boot 1", "boot 2", long, nil, true},
		"quiet, no lock can be told":        {"", "", long, nil, true},
		"beating":                           {"boot 1", "boot 2", long, func(b *bookkeeper, l archive.Layout) { _ = b.Put(t.Context(), beatKey(l), nil) }, false},
		"storing":                           {"boot 1", "boot 2", long, func(b *bookkeeper, l archive.Layout) { _ = b.Put(t.Context(), l.ArchiveKey("00", 0), nil) }, false},
		"uploading": {"boot 1", "boot 2", long, func(b *bookkeeper, l archive.Layout) {
			b.uploads = append(b.uploads, s3.OpenUpload{Key: l.ArchiveKey("00", 0), Initiated: time.Now().Add(b.ahead)})
		}, false},
		"uploading since who knows when": {"", "", long, func(b *bookkeeper, l archive.Layout) {
			b.uploads = append(b.uploads, s3.OpenUpload{Key: l.ArchiveKey("00", 0)})
		}, false},
		"being claimed":                        {"boot 1", "boot 1", long, marked("claims/other"), false},
		"claimed by a process that was killed": {"boot 1", "boot 1", time.Second, marked("claims/boot 1/other"), true},
		"being claimed under another lock":     {"boot 1", "boot 1", time.Second, marked("claims/boot 2/other"), false},
		"being removed":                        {"boot 1", "boot 1", long, marked("pruned/other"), false},
		"finished, its index is lost":          {"boot 1", "boot 1", 0, func(b *bookkeeper, l archive.Layout) { _ = b.Put(t.Context(), l.DigestsKey(0), nil) }, false},
		"finished":                             {"boot 1", "boot 1", long, func(b *bookkeeper, l archive.Layout) { _ = b.Put(t.Context(), l.IndexKey(), nil) }, false},
	} {
		for _, ahead := range []time.Duration{0, -1000 * time.Hour, 1000 * time.Hour} {
			synctest.Test(t, func(t *testing.T) {
				b := newBookkeeper()
				b.ahead = ahead
				first, resumed := b.begin(t, "source", tc.first)
				if resumed {
					t.Fatal("the first run went on with another")
				}
				time.Sleep(tc.after)
				if tc.last != nil {
					tc.last(b, first.Layout)
				}
				second, resumed := b.begin(t, "source", tc.second)
				if resumed != tc.want || resumed != (second.Layout.UID == first.Layout.UID) {
					t.Errorf("%s: resumed: %v, want %v (the server is ahead by %v)", name, resumed, tc.want, ahead)
				}
				if other, resumed := b.begin(t, "other source", tc.first); resumed {
					t.Errorf("%s: the run of another source goes on with %s", name, other.Layout.UID)
				}
			})
		}
	}
}

// TestTwoNeverGoOnWithOneRun has a process begin in the middle of another's beginning, after
// each of its requests, and its end some time later.
func TestTwoNeverGoOnWithOneRun(t *testing.T) {
	taken, last := 0, false
	for step := 2; !last; step++ {
		pause := time.Duration(step%2) * 2 * claimTime
		synctest.Test(t, func(t *testing.T) {
			b := newBookkeeper()
			first, _ := b.begin(t, "source", "boot 1")
			time.Sleep(2 * quietTime)
			var between archive.Plan
			steps := 0
			b.done = func() {
				if steps++; steps == step/2 {
					between, _ = b.begin(t, "source", "boot 2")
					time.Sleep(pause)
				}
			}
			outer, _ := b.begin(t, "source", "boot 1")
			last = steps < step/2
			if between.Layout.UID == outer.Layout.UID {
				t.Errorf("both write to run %s, the second begun after request %d", outer.Layout.UID, step/2)
			}
			if outer.Layout.UID == first.Layout.UID || between.Layout.UID == first.Layout.UID {
				taken++
			}
		})
	}
	if taken < 10 {
		t.Errorf("the run was resumed %d times", taken)
	}
}

// TestARunThatIsGoneOnWithElsewhereIsGivenUp has a process sleep until another has gone on
// with its run.
func TestARunThatIsGoneOnWithElsewhereIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBookkeeper()
		begun, _ := b.begin(t, "source", "boot 1")
		ctx, giveUp := context.WithCancelCause(t.Context())
		var beating sync.WaitGroup
		beating.Go(func() { keepAlive(ctx, b, begun, slog.New(slog.DiscardHandler), giveUp) })
		time.Sleep(2 * quietTime)
		synctest.Wait()
		if _, resumed := b.begin(t, "source", "boot 2"); resumed || ctx.Err() != nil {
			t.Fatalf("a run that beats: resumed: %v, given up: %v", resumed, context.Cause(ctx))
		}
		later := begun
		later.Begun = later.Begun.Add(time.Hour)
		if err := later.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(beatInterval)
		synctest.Wait()
		if err := context.Cause(ctx); !errors.Is(err, errNotOwn) {
			t.Errorf("it ended with %v, want %v", err, errNotOwn)
		}
		giveUp(nil)
		beating.Wait()
	})
}

// TestAMarkThatIsTakenBackCostsNoRun has prune find a run going on just when it ends.
func TestAMarkThatIsTakenBackCostsNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBookkeeper()
		begun, _ := b.begin(t, "source", "boot 1")
		mark := begun.Layout.BookkeepingPrefix() + "pruned/other"
		if err := b.Put(t.Context(), mark, nil); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(2*markPause, func() { _ = b.Delete(t.Context(), mark) })
		if err := own(t.Context(), b, begun); err != nil {
			t.Error(err)
		}
	})
}

var _ restore.PruneBucket = (*bookkeeper)(nil)
