package coordination

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Large archives that are planned last do not end last.
func TestLongestFirstAmongTheLast(t *testing.T) {
	config := DefaultConfig()
	y := newYard(t, config, 40, 10e6, 10e6, 10e6, 10e6, 10e6, 10e6, 10e6, 10e6)
	for n := int64(40); n < 44; n++ {
		y.sizes[n] = 10 * yardArchive
		must(t, y.f.c.ScheduleUpload(Upload{Archive: ArchiveID{"t", "a", n}, EstimatedSize: 10 * yardArchive}))
	}
	// All is sent in 64 s by workers that are busy to the end; a large archive
	// alone takes as long.
	if took := y.finish(); took > 84*time.Second {
		t.Errorf("took %v, want 84s", took)
	}
}

// However many archives of a higher priority keep coming, an archive is
// overtaken by a bounded number of them.
func TestPrioritiesDoNotStarve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.IntRange(-3, 3).Draw(t, "low")
		high := low + rapid.IntRange(0, 3).Draw(t, "above")
		l := &lane{transfer: &TransferScheduler{free: make([]*worker, rapid.IntRange(0, 100).Draw(t, "workers"))}}
		l.schedule(archive{number: 0, priority: low})
		bound := overtaking*(high-low) + maxTail + 1
		for n := range int64(bound) + 1 {
			l.schedule(archive{number: n + 1, priority: high, size: 1})
			if a, _ := l.take(); a.number == 0 {
				return
			}
		}
		t.Fatalf("an archive of priority %d waits for more than %d of priority %d", low, bound, high)
	})
}

func TestQueueOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q archiveQueue
		var want []archive
		for n := range rapid.Int64Range(1, 50).Draw(t, "archives") {
			a := archive{number: n, priority: rapid.IntRange(-2, 2).Draw(t, "priority")}
			q.push(a)
			want = append(want, a)
		}
		for range rapid.IntRange(0, len(want)).Draw(t, "removed") {
			a := q.remove(rapid.IntRange(0, len(q)-1).Draw(t, "place"))
			want = slices.DeleteFunc(want, func(b archive) bool { return a.number == b.number })
		}
		slices.SortFunc(want, func(a, b archive) int { return int(a.turn() - b.turn()) })
		for i := range want {
			if got := q.remove(0); got.number != want[i].number {
				t.Fatalf("archive %d comes as number %d of %d, want %d", got.number, i, len(want), want[i].number)
			}
		}
	})
}
