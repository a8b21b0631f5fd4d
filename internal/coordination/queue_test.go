package coordination

import (
	"testing"
	"time"

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
