package schedule

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestHeapOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q archiveHeap
		var want []archive
		for _, n := range rapid.SliceOfNDistinct(rapid.Int64Range(0, 99), 1, 50, rapid.ID[int64]).Draw(t, "archives") {
			q.push(archive{number: n})
			want = append(want, archive{number: n})
		}
		for range rapid.IntRange(0, len(want)).Draw(t, "removed") {
			a := q.remove(rapid.IntRange(0, len(q)-1).Draw(t, "place"))
			want = slices.DeleteFunc(want, func(b archive) bool { return a.number == b.number })
		}
		slices.SortFunc(want, func(a, b archive) int { return cmp.Compare(a.number, b.number) })
		for i := range want {
			if got := q.remove(0); got.number != want[i].number {
				t.Fatalf("archive %d comes as number %d of %d, want %d", got.number, i, len(want), want[i].number)
			}
		}
	})
}
