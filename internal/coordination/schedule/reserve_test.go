package schedule

import (
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// reserving is a scheduler with one prefix of so many archives, and workers that send ten a
// second each.
func reserving(t *testing.T, archives int64, workers int) (*TransferScheduler, *Prefix, []*Holdings) {
	t.Helper()
	s := New("t", protocol.DefaultConfig())
	s.BaseInterval = time.Second
	l, err := s.Register("a")
	if err != nil {
		t.Fatal(err)
	}
	l.Plan(protocol.Planned{Archives: archives, Files: archives, Bytes: 100 * archives})
	var ids []protocol.WorkerID
	for i := range workers {
		ids = append(ids, protocol.WorkerID(rune('a'+i)))
	}
	return s, l, join(s, l, ids...)
}

func assign(s *TransferScheduler, all []*Holdings, g protocol.GrantID) {
	now := time.Unix(1000, 0)
	s.Prepare()
	s.Begin(now)
	for _, c := range all {
		c.worker.Assign(now)
		c.Grant(g, nil)
		c.Withhold(g)
	}
}

// A reserve lasts for an hour where there is as much, and all of them hold no more than half
// of what is left.
func TestReservesAreAnHourOrHalf(t *testing.T) {
	for archives, want := range map[int64]int64{1_000_000: 36_000, 20_000: 3_738, 100: 0} {
		s, l, all := reserving(t, archives, 2)
		assign(s, all, protocol.GrantID{Epoch: 1, Sequence: 1})
		assign(s, all, protocol.GrantID{Epoch: 1, Sequence: 2})
		for _, c := range all {
			if got := c.reserve.Count(); got < want*9/10 || got > max(want, 36_000*want/max(1, want)) || want == 0 && got > 0 {
				t.Errorf("of %d archives %d are in a reserve, want about %d", archives, got, want)
			}
		}
		if l.Remaining() != int(archives) {
			t.Errorf("%d of %d archives remain", l.Remaining(), archives)
		}
	}
}

// What a reserve gives up is queued once the worker acts on a grant that does not name it,
// and counts as begun if the worker has begun any.
func TestReservesAreGivenBack(t *testing.T) {
	for _, coasted := range []bool{false, true} {
		s, l, all := reserving(t, 1_000, 1)
		c := all[0]
		assign(s, all, protocol.GrantID{Epoch: 1, Sequence: 1})
		first, _ := c.reserve.First()
		reserved := c.reserve.Count()
		if reserved == 0 {
			t.Fatal("nothing is in the reserve")
		}
		if coasted {
			o := protocol.Outcome{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: first}, Done: protocol.Tally{Files: 1, Bytes: 100}}
			if got := c.worker.Finish(protocol.Report{Epoch: 1, GrantSequence: 1}, o); got != Finished {
				t.Fatalf("an archive of the reserve came to %v", got)
			}
			if got := c.worker.Finish(protocol.Report{Epoch: 1, GrantSequence: 1}, o); got != Ignored {
				t.Fatalf("the same archive again came to %v", got)
			}
			reserved--
		}
		c.Window = 0
		assign(s, all, protocol.GrantID{Epoch: 1, Sequence: 2})
		c.worker.Yield(protocol.Report{Epoch: 1, GrantSequence: 1})
		if got := l.backlog.back.Count(); got != 0 {
			t.Errorf("%d archives are queued that the worker may begin still", got)
		}
		c.worker.Yield(protocol.Report{Epoch: 1, GrantSequence: 2})
		if got := l.backlog.back.Count(); got != reserved || l.backlog.reserved != 0 {
			t.Errorf("%d archives are queued, %d reserved, want %d and 0", got, l.backlog.reserved, reserved)
		}
		if got := l.backlog.untouched.Count(); got != reserved {
			t.Errorf("%d archives count as runs that nobody began, want %d", got, reserved)
		}
		if a, ok := l.backlog.first(true); !ok || a.attempts > 0 != coasted {
			t.Errorf("the next archive is %+v after a worker had it as a reserve, coasting %v", a, coasted)
		}
	}
}

// The next leader adopts a reserve; what has ended or is in somebody's hands is no part of it.
func TestReservesAreAdopted(t *testing.T) {
	_, l, all := reserving(t, 0, 2)
	var finished protocol.Ranges
	finished.Add(12)
	l.Restore(protocol.Recorded{Planned: protocol.Planned{Archives: 100, Files: 100, Bytes: 100}, Finished: finished})
	all[0].Adopt([]protocol.Assignment{{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: 13}, Attempt: 1}})
	var reserve protocol.Ranges
	reserve.AddRange(10, 19)
	reserve.AddRange(95, 1<<40)
	all[1].AdoptReserve(reserve)
	all[0].AdoptReserve(reserve)
	if got := all[1].reserve.String(); got != "10-11,14-19,95-99" {
		t.Errorf("adopted %q, want 10-11,14-19,95-99", got)
	}
	if all[0].reserve.Count() != 0 || l.Remaining() != 99 {
		t.Errorf("%d adopted twice, %d remain, want 0 and 99", all[0].reserve.Count(), l.Remaining())
	}
	if got := l.backlog.untouched.String(); got != "10-11,14-19,95-99" {
		t.Errorf("the runs that nobody began are %q", got)
	}
	all[1].worker.Release(false)
	if a, ok := l.next(); !ok || a.number != 10 || a.attempts != 1 || l.Remaining() != 99 {
		t.Errorf("after the worker was lost %+v is next of %d", a, l.Remaining())
	}
}

// A reserve that grows waits for a grant that is written anyway. A first one, and what is given
// up, wait for none.
func TestAReserveThatGrowsIsWorthNoGrant(t *testing.T) {
	s, _, all := reserving(t, 20_000, 2)
	c := all[0]
	grant := protocol.GrantID{Epoch: 1, Sequence: 1}
	s.Prepare()
	s.Begin(time.Unix(1000, 0))
	c.worker.speed = 10
	c.worker.Reserve()
	if c.reserve.Count() == 0 || !c.ReserveDue(protocol.Ranges{}) {
		t.Fatalf("a first reserve of %d archives is not due", c.reserve.Count())
	}
	named := c.Reserved()
	c.worker.speed = 1000
	c.worker.Reserve()
	if c.reserve.Equal(named) || c.ReserveDue(named) {
		t.Errorf("a reserve of %d archives that has grown to %d is due", named.Count(), c.reserve.Count())
	}
	named, c.Window = c.Reserved(), 0
	c.worker.Reserve()
	if c.reserve.Count() != 0 || !c.ReserveDue(named) {
		t.Errorf("a reserve that was given up, but for %d archives, is not due", c.reserve.Count())
	}
	c.Withhold(grant)
	if c.ReserveDue(c.Reserved()) {
		t.Error("a reserve is due that the last grant does not name any more")
	}
}

// Assigned archives are in no reserve, whatever an older grant of another worker says, and of two
// workers that an archive was recalled from the later one holds it.
func TestLaterGrantsCount(t *testing.T) {
	numbers := func(text string) protocol.Ranges {
		r, err := protocol.ParseRanges(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	g := protocol.GrantID{Epoch: 1, Sequence: 1}
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		_, l, all := reserving(t, 10, 2)
		adopt := []func(){
			func() {
				all[0].AdoptRecalled([]protocol.Assignment{{Archive: protocol.ArchiveID{Number: 4}, Attempt: 1}}, g)
				all[0].AdoptReserve(numbers("0-1"))
				all[0].AdoptWithdrawn(numbers("2-3"), g)
			},
			func() {
				for _, n := range []int64{0, 2} {
					all[1].Adopt([]protocol.Assignment{{Archive: protocol.ArchiveID{Number: n}, Attempt: 1}})
				}
				all[1].AdoptRecalled([]protocol.Assignment{{Archive: protocol.ArchiveID{Number: 4}, Attempt: 2}}, g)
			},
		}
		for _, i := range order {
			adopt[i]()
		}
		for _, n := range []int64{0, 2, 4} {
			if h := l.held[n]; h == nil || h.worker != all[1].worker {
				t.Errorf("order %v: archive %d is held as %+v", order, n, h)
			}
		}
		if reserve, withdrawn := all[0].reserve.String(), all[0].returned[0].numbers.String(); reserve != "1" || withdrawn != "3" || len(all[0].recalled) != 0 {
			t.Errorf("order %v: the other keeps %q and %q, and %v", order, reserve, withdrawn, all[0].recalled)
		}
		if l.Remaining() != 10 {
			t.Errorf("order %v: %d of 10 archives remain", order, l.Remaining())
		}
	}
}
