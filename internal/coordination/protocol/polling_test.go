package protocol

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A call may take long where reports are rare, and before the server has answered at all.
func TestCallsMayTakeLongWhereReportsAreRare(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{0: 20 * time.Second, 2 * time.Second: 5 * time.Second, 30 * time.Second: 15 * time.Second, time.Hour: 20 * time.Second} {
		if got := CallTimeout(interval); got != want {
			t.Errorf("where reports come every %v a call may take %v, want %v", interval, got, want)
		}
	}
}

// A lease that is not there is looked for ever more seldom; one that is there as often as it says, sooner
// at first where it acknowledges no report; and whoever fails or waits long rests.
func TestReads(t *testing.T) {
	none := func(int64) int64 { return 0 }
	const interval = 2 * time.Second
	tests := map[string]struct {
		reads []Read
		want  []time.Duration
	}{
		"no lease": {make([]Read, 7), []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond, 3200 * time.Millisecond, 4 * time.Second, 4 * time.Second}},
		"a lease":  {[]Read{{Lease: true, Interval: interval}}, []time.Duration{500 * time.Millisecond}},
		"a rare one, awaited": {
			[]Read{{Lease: true, Awaited: true, Interval: 40 * time.Second}, {Lease: true, Awaited: true, Interval: 40 * time.Second}, {Lease: true, Interval: 40 * time.Second}},
			[]time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second},
		},
		"slow": {[]Read{{Lease: true, Interval: interval, Took: time.Second}}, []time.Duration{4 * time.Second}},
		"fails, and then not": {
			[]Read{{Lease: true, Interval: interval, Failed: true}, {Lease: true, Interval: interval, Failed: true}, {Lease: true, Interval: interval, Failed: true}, {Lease: true, Interval: interval, Failed: true}, {Lease: true, Interval: interval}},
			[]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 500 * time.Millisecond},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var r Reads
			for i, read := range tt.reads {
				if got := r.Next(read, none); got != tt.want[i] {
					t.Errorf("read %d is followed after %v, want %v", i, got, tt.want[i])
				}
			}
		})
	}
}

// Of those that begin together some wait half as long.
func TestReadsSpread(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		var r Reads
		wait := r.Next(Read{}, random.Int64N)
		least, most = min(least, wait), max(most, wait)
	}
	if least > 110*time.Millisecond || most < 190*time.Millisecond {
		t.Errorf("they wait %v to %v, want 100 to 200 ms", least, most)
	}
}
