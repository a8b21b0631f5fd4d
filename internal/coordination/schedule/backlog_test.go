package schedule

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// TestBacklog holds a backlog against a model: whatever is planned, adopted, taken, put
// back and finished, in whatever order, each number is handed out once, the lowest that
// waits first, and then only if the record has room for it; and in whatever order they finish,
// what has finished never takes more in the record than it could when they were handed out.
func TestBacklog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Int64Range(4, 60).Draw(t, "most")
		l := &Prefix{transfer: &TransferScheduler{}, held: map[int64]*holding{}}
		var before protocol.Ranges
		for _, n := range rapid.SliceOfN(rapid.Int64Range(0, 9), 0, 4).Draw(t, "finished before") {
			before.Add(n)
		}
		planned := before.End() + rapid.Int64Range(0, 20).Draw(t, "planned before")
		l.Restore(protocol.Recorded{Planned: protocol.Planned{Archives: planned, Files: planned, Bytes: planned}, Finished: before})
		waiting, held := map[int64]bool{}, map[int64]bool{}
		for n := range planned {
			waiting[n] = !before.Contains(n)
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			worst := charge(l, 2)
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
				worst = max(worst, charge(l, 2))
			}
			checkBacklog(t, l, waiting)
			if now := charge(l, 2); now > worst {
				t.Fatalf("the record may take %d bits, where it could take %d before", now, worst)
			}
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
	frontier, full := l.backlog.frontier, l.backlog.underWay() > 0 && charge(l, archiveBits)+archiveBits > most
	l.transfer.record.free = most - charge(l, archiveBits)
	a, first, ok := l.backlog.take(l.admits(), longest)
	if !ok {
		return
	}
	if full && a.number >= frontier {
		t.Fatalf("archive %d was handed out, which the record has no room for", a.number)
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

// charge is what the record of the prefix takes, in bits, at so many for an archive under way: two
// are enough for every order in which they end.
func charge(l *Prefix, each int64) int64 {
	return l.finished.RunBits() + l.backlog.untouched.RunBits() + each*l.backlog.underWay()
}

func checkBacklog(t *rapid.T, l *Prefix, waiting map[int64]bool) {
	count := 0
	for _, waits := range waiting {
		if waits {
			count++
		}
	}
	if got := l.backlog.count(); got != count {
		t.Fatalf("%d archives wait, want %d", got, count)
	}
	// The mark, one bit for the beginning, and the last digit filled.
	if got, want := int64(len(l.finished.Packed())), 7+1+(charge(l, 2)+bitsPerByte)/bitsPerByte; got > want {
		t.Fatalf("%s is recorded in %d bytes, want at most %d", l.finished, got, want)
	}
}
