package coordination

import (
	"math"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// A rate is divided by what the windows can use on a path without a queue: the latency
// of a round can be that of a few late answers, and who is granted little sends little.
func TestLateAnswersDoNotLowerTheRate(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 1000)
	f.start("t", "w")
	f.pace(100)
	for _, latencies := range [][2]time.Duration{{100 * time.Millisecond, 5 * time.Second}, {5 * time.Second, 100 * time.Millisecond}} {
		f.path(latencies[0], latencies[1])
		f.c.paceGrants()
		sum := 0.0
		for _, wp := range f.c.workers["w"].prefixes {
			sum += wp.share.Rate
		}
		if math.Abs(sum-100) > 1 {
			t.Errorf("granted %v per second of 100 with a window of %d and latencies of %v", sum, f.window("w"), latencies)
		}
	}
}
