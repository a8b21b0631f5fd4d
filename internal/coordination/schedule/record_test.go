package schedule

import (
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// A record that is longer than it may be, as a release before may have left it or workers that have
// coasted, is made shorter: reserves are given up, the gaps are filled, and nothing is begun
// beyond them until then.
func TestAFullRecordIsEmptiedFirst(t *testing.T) {
	s, l, all := reserving(t, 0, 1)
	const gaps = 25_000
	var finished protocol.Ranges
	for n := range int64(gaps) {
		finished.Add(2*n + 1)
	}
	planned := protocol.Planned{Archives: 1_000_000, Files: 1_000_000, Bytes: 1_000_000}
	l.Restore(protocol.Recorded{Planned: planned, Finished: finished})
	var reserve protocol.Ranges
	reserve.AddRange(60_000, 60_099)
	all[0].AdoptReserve(reserve)
	c, now := all[0], time.Unix(1000, 0)
	for ended := range int64(gaps) {
		s.Prepare()
		s.Begin(now)
		c.worker.Assign(now)
		if len(c.held) == 0 || c.held[0].number != 2*ended {
			t.Fatalf("after %d the worker holds %d archives, want %d to be the first", ended, len(c.held), 2*ended)
		}
		if s.record.free >= 0 {
			return
		}
		if c.reserve.Count() > 0 {
			t.Fatalf("%d archives are in a reserve, with %d bits of the record left", c.reserve.Count(), s.record.free)
		}
		o := protocol.Outcome{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: 2 * ended}}
		c.Grant(protocol.GrantID{Epoch: 1, Sequence: ended + 1}, nil)
		if got := c.worker.Finish(protocol.Report{Epoch: 1, GrantSequence: ended + 1}, o); got != Finished {
			t.Fatalf("archive %d came to %v", 2*ended, got)
		}
	}
	t.Errorf("all gaps are filled, and %d bits are left", s.record.free)
}

// Runs that nobody began leave the rest of the record to what is under way.
func TestReservesTakeAPartOfTheRecord(t *testing.T) {
	s, l, _ := reserving(t, 90_000_000, 1)
	s.Prepare()
	runs := 0
	for {
		first, last, ok := l.reserve(1 << 10)
		if !ok {
			break
		}
		if runs++; last-first != 1<<10-1 {
			t.Fatalf("%d archives were reserved, want %d", last-first+1, 1<<10)
		}
		l.backlog.draw() // so that the next run is another
	}
	if bits := l.backlog.untouched.RunBits(); bits > bitsPerByte*recordBytes/reservePart || bits < bitsPerByte*recordBytes/reservePart-reserveBits {
		t.Errorf("%d runs take %d bits of the record, want nearly a quarter of %d", runs, bits, bitsPerByte*recordBytes)
	}
}

// Very many workers get a longer record, so that each can hold something.
func TestTheRecordGrowsWithTheWorkers(t *testing.T) {
	for workers, want := range map[int]int64{1: 6 << 10, 1000: 6 << 10, 4000: 16_000, 20_000: 48 << 10} {
		s := New("t", protocol.DefaultConfig())
		s.workers = make([]*Worker, workers)
		s.measureRecord()
		if got := s.record.free / bitsPerByte; got != want {
			t.Errorf("%d workers have a record of %d bytes, want %d", workers, got, want)
		}
	}
}
