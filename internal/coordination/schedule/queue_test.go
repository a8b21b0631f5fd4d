package schedule

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// longestFirst orders archives by size, and those alike by number.
func longestFirst(a, b archive) int {
	return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.number, b.number))
}

func TestQueueOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q archiveQueue
		var want []archive
		for _, n := range rapid.SliceOfNDistinct(rapid.Int64Range(0, 99), 1, 50, rapid.ID[int64]).Draw(t, "archives") {
			a := archive{number: n, size: n % 7}
			q.push(a)
			want = append(want, a)
		}
		for range rapid.IntRange(0, len(want)).Draw(t, "removed") {
			i := rapid.IntRange(0, len(want)-1).Draw(t, "place")
			if !q.drop(want[i].number) || q.drop(want[i].number) {
				t.Fatalf("archive %d was not dropped, or twice", want[i].number)
			}
			want = slices.Delete(want, i, i+1)
		}
		slices.SortFunc(want, func(a, b archive) int { return cmp.Compare(a.number, b.number) })
		for i := range want {
			if got := q.first(); got != want[i] || q.count() != len(want)-i {
				t.Fatalf("archive %d comes as number %d of %d, %d are left, want %d", got.number, i, len(want), q.count(), want[i].number)
			}
			if got, longest := q.longest(), slices.MinFunc(want[i:], longestFirst); got != longest {
				t.Fatalf("archive %d is the longest, want %d", got.number, longest.number)
			}
			q.drop(want[i].number)
		}
	})
}
