package restore

import (
	"testing"

	"cargoship.dev/operator/internal/archive"
)

// A file with holes needs what the archive has of it, any other its size.
func TestWhatAFileTakes(t *testing.T) {
	for name, tc := range map[string]struct {
		member archive.Member
		want   int64
	}{
		"an object of its own":        {archive.Member{Size: 5000}, 5000},
		"a member of a tar":           {archive.Member{Size: 5000, Tar: &archive.Place{Offset: 1024, Length: 6144, Data: 1536}}, 5000},
		"a member with holes":         {archive.Member{Size: 1 << 40, Tar: &archive.Place{Offset: 1024, Length: 6144, Data: 2048, Sparse: true}}, 5120},
		"a place that makes no sense": {archive.Member{Size: 1, Tar: &archive.Place{Offset: 0, Length: 1, Data: 9, Sparse: true}}, 0},
	} {
		if got := stored(tc.member); got != tc.want {
			t.Errorf("%s: %d bytes, want %d", name, got, tc.want)
		}
	}
}

func TestWhatDoesNotFit(t *testing.T) {
	for _, tc := range []struct {
		free, need Room
		want       bool
	}{
		{Room{10, 10}, Room{10, 10}, false}, {Room{10, 10}, Room{11, 1}, true}, {Room{10, 10}, Room{1, 11}, true}, {Room{}, Room{}, false},
	} {
		if got := tc.free.lacks(tc.need); got != tc.want {
			t.Errorf("%v of %v: lacks %t", tc.need, tc.free, got)
		}
	}
}
