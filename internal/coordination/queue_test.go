package coordination

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// Large archives that are planned last do not end last.
func TestLongestFirstAmongTheLast(t *testing.T) {
	config := protocol.DefaultConfig()
	y := newYard(t, config, 40, 10e6, 10e6, 10e6, 10e6, 10e6, 10e6, 10e6, 10e6)
	for n := int64(40); n < 44; n++ {
		y.sizes[n] = 10 * yardArchive
		must(t, y.f.c.ScheduleUpload(protocol.Upload{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: n}, Bytes: 10 * yardArchive, Files: 2}))
	}
	// All is sent in 64 s by workers that are busy to the end; a large archive
	// alone takes as long.
	if took := y.finish(); took > 84*time.Second {
		t.Errorf("took %v, want 84s", took)
	}
}

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
