package schedule

import (
	"testing"

	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// places counts in how many places each archive of the prefix is.
func places(l *Prefix, all []*Holdings) map[int64]int {
	count := map[int64]int{}
	runs := func(r protocol.Ranges) {
		for first, last := range r.Runs() {
			for n := first; n <= last; n++ {
				count[n]++
			}
		}
	}
	b := &l.backlog
	for _, c := range all {
		for _, h := range append(c.held[:len(c.held):len(c.held)], c.recalled...) {
			count[h.number]++
		}
		runs(c.reserve)
		for _, r := range c.returned {
			runs(r.numbers)
		}
	}
	for _, a := range append(b.queue.rising[:len(b.queue.rising):len(b.queue.rising)], b.queue.others...) {
		count[a.number]++
	}
	runs(b.back)
	runs(l.finished)
	for n := b.next; n < b.limit; n++ {
		if !b.apart.Contains(n) {
			count[n]++
		}
	}
	return count
}

// balanced tells that what is counted is what there is.
func balanced(t *rapid.T, l *Prefix, all []*Holdings) {
	var reserved int64
	held := 0
	for _, c := range all {
		reserved += c.reserve.Count()
		for _, r := range c.returned {
			reserved += r.numbers.Count()
		}
		held += len(c.held) + len(c.recalled)
		if c.worker.held != len(c.held) {
			t.Fatalf("a worker holds %d archives and counts %d", len(c.held), c.worker.held)
		}
	}
	b := &l.backlog
	if reserved != b.reserved || b.untouched.Count() != b.reserved+b.back.Count() || held != len(l.held) {
		t.Fatalf("%d are in reserves and %d counted, %d untouched with %d that came back; %d are held and %d counted",
			reserved, b.reserved, b.untouched.Count(), b.back.Count(), held, len(l.held))
	}
}

// join adds workers that have windows on the prefix.
func join(s *TransferScheduler, l *Prefix, ids ...protocol.WorkerID) (all []*Holdings) {
	for _, id := range ids {
		w := s.AddWorker(id)
		w.Ready, w.Capacity, w.speed, w.tried = true, 10, 1000, true
		c := w.Join(l)
		c.Window = 10
		all = append(all, c)
	}
	return all
}

// Whatever a leader adopts, in whatever order, and whatever comes then: each archive is in one place.
func TestBooksBalance(t *testing.T) {
	const archives = 60
	rapid.Check(t, func(t *rapid.T) {
		s := New("t", protocol.DefaultConfig())
		s.BaseInterval = 1e9
		l, err := s.Register("a")
		if err != nil {
			t.Fatal(err)
		}
		number := rapid.Int64Range(0, archives-1)
		var finished protocol.Ranges
		for _, n := range rapid.SliceOfN(number, 0, 5).Draw(t, "finished") {
			finished.Add(n)
		}
		l.Restore(protocol.Recorded{Planned: protocol.Planned{Archives: archives, Files: archives, Bytes: 10 * archives}, Finished: finished})
		all := join(s, l, "a", "b", "c")
		g := protocol.GrantID{Epoch: 1, Sequence: 5}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			c := rapid.SampledFrom(all).Draw(t, "worker")
			n := number.Draw(t, "number")
			assignments := []protocol.Assignment{{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: n}, Attempt: rapid.IntRange(1, 3).Draw(t, "attempt")}}
			var run protocol.Ranges
			run.AddRange(n, n+rapid.Int64Range(0, 8).Draw(t, "more"))
			switch rapid.IntRange(0, 8).Draw(t, "step") {
			case 0:
				c.Adopt(assignments)
			case 1:
				c.AdoptRecalled(assignments, g)
			case 2:
				c.AdoptReserve(run)
			case 3:
				c.AdoptWithdrawn(run, g)
			case 4:
				o := protocol.Outcome{Archive: assignments[0].Archive, Retry: rapid.Bool().Draw(t, "retry"), Reason: "Any"}
				c.worker.Finish(protocol.Report{Epoch: 1, GrantSequence: 9}, o)
			case 5:
				c.worker.Yield(protocol.Report{Epoch: 1, GrantSequence: rapid.Int64Range(4, 8).Draw(t, "acts on")})
			case 6:
				c.worker.Release(rapid.Bool().Draw(t, "orderly"))
			case 7:
				c.Window = rapid.IntRange(0, 10).Draw(t, "window")
				g.Sequence++
				assign(s, all, g)
			case 8:
				c.worker.Missed, c.worker.Ready = true, false
				s.Prepare()
				s.Steal()
				c.worker.Missed, c.worker.Ready = false, true
			}
			balanced(t, l, all)
			count := places(l, all)
			for n := range int64(archives) {
				if count[n] != 1 {
					t.Fatalf("archive %d is in %d places", n, count[n])
				}
			}
		}
	})
}
