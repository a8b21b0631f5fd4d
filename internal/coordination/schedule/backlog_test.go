package schedule

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// TestBacklog holds a backlog against a model: whatever is planned, adopted, taken, put
// back and finished, in whatever order, each number is handed out once, the lowest that
// waits first, and what has finished never makes more ranges than the bound.
func TestBacklog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Int64Range(1, 12).Draw(t, "most")
		l := &Prefix{transfer: &TransferScheduler{}, held: map[int64]*holding{}}
		var before protocol.Ranges
		for _, n := range rapid.SliceOfN(rapid.Int64Range(0, 9), 0, 4).Draw(t, "finished before") {
			if next := before.Clone(); next.Add(n) && next.End()-next.Count() <= most {
				before = next // no leader has left more unfinished
			}
		}
		planned := before.End() + rapid.Int64Range(0, 20).Draw(t, "planned before")
		l.Restore(protocol.Recorded{Planned: protocol.Planned{Archives: planned, Files: planned, Bytes: planned}, Finished: before})
		waiting, held := map[int64]bool{}, map[int64]bool{}
		for n := range planned {
			waiting[n] = !before.Contains(n)
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				more := rapid.Int64Range(1, 9).Draw(t, "more")
				for n := planned; n < planned+more; n++ {
					waiting[n] = true
				}
				planned += more
				l.backlog.plan(protocol.Planned{Archives: planned, Files: planned, Bytes: planned})
			case 1:
				if n := anyOf(t, held); n >= 0 {
					delete(held, n)
					waiting[n] = true
					l.putBack(archive{number: n})
				}
			case 2, 3:
				if n := anyOf(t, held); n >= 0 {
					delete(held, n)
					l.settle(archive{number: n}, protocol.Outcome{})
				}
			default:
				takeOne(t, l, most, waiting, held)
			}
			checkBacklog(t, l, most, waiting)
		}
	})
}

func anyOf(t *rapid.T, numbers map[int64]bool) int64 {
	if len(numbers) == 0 {
		return -1
	}
	var all []int64
	for n := range numbers {
		all = append(all, n)
	}
	slices.Sort(all)
	return rapid.SampledFrom(all).Draw(t, "number")
}

func takeOne(t *rapid.T, l *Prefix, most int64, waiting, held map[int64]bool) {
	longest := rapid.Bool().Draw(t, "longest")
	a, first, ok := l.backlog.take(most, longest)
	if !ok {
		return
	}
	if !waiting[a.number] {
		t.Fatalf("archive %d was handed out, and does not wait", a.number)
	}
	lowest := a.number
	for n, waits := range waiting {
		if waits {
			lowest = min(lowest, n)
		}
	}
	if first != (a.number == lowest) || !longest && !first {
		t.Fatalf("archive %d was handed out, first %v; the lowest is %d", a.number, first, lowest)
	}
	delete(waiting, a.number)
	held[a.number] = true
}

func checkBacklog(t *rapid.T, l *Prefix, most int64, waiting map[int64]bool) {
	count := 0
	for _, waits := range waiting {
		if waits {
			count++
		}
	}
	if got := l.backlog.count(); got != count {
		t.Fatalf("%d archives wait, want %d", got, count)
	}
	if got := int64(1 + strings.Count(l.finished.String(), ",")); got > most+1 {
		t.Fatalf("%d ranges of finished archives, want at most %d", got, most+1)
	}
}
