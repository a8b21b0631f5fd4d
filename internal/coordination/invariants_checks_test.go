package coordination

import (
	"strconv"
	"strings"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// checkWorkers holds what processes may do against what was granted.
func (w *world) checkWorkers() {
	most, since := 0, w.now-2*protocol.Lifetime(protocol.Lifetime(testConfig().LeaseDuration))
	for i, b := range w.bounds {
		// The bound in force at since was set before it.
		if b.at >= since || i+1 == len(w.bounds) || w.bounds[i+1].at > since {
			most = max(most, b.window)
		}
	}
	// Floors are no part of I1: they are one request for each lost worker (I5).
	sum := 0
	for _, p := range w.workers {
		if clock(w.now, p.drift) < p.leased {
			sum += p.using(w.now)
		}
	}
	if limit := most + congestion.WindowFloor; sum > limit {
		w.t.Fatalf("I1: %d requests may be in flight, at most %d were to be", sum, limit)
	}
	if w.manager == nil {
		return
	}
	for _, p := range w.workers {
		known := w.manager.workers[p.id]
		if known == nil {
			continue
		}
		if charged := known.lease.Charge(); p.using(w.now) > charged {
			w.t.Fatalf("I1: %s may have %d in flight, the manager charges %d", p.id, p.using(w.now), charged)
		}
		if !known.lease.Held() && !known.drained && clock(w.now, p.drift) < p.leased && p.using(w.now) > 0 {
			w.t.Fatalf("I2: %s holds a lease that the manager believes over", p.id)
		}
		if known.lease.Charge() < min(1, p.using(w.now)) && !known.lease.Held() {
			w.t.Fatalf("I5: %s has %d in flight after its lease, nothing is charged", p.id, p.using(w.now))
		}
	}
}

// checkManager holds the books of the coordinator against each other.
func (w *world) checkManager() {
	g := w.manager.control
	granted, charged := w.manager.grantedAndCharged()
	if granted > charged {
		w.t.Fatalf("I1: %d granted, %d charged", granted, charged)
	}
	regranted := 0
	for _, worker := range w.manager.ordered {
		if worker.lease.Grant().Epoch == w.epoch {
			regranted += worker.window()
		}
	}
	if g.Learning() && regranted > w.known+congestion.WindowFloor {
		w.t.Fatalf("I4: %d granted while learning, %d recorded", regranted, w.known)
	}
	var known, finished int64
	for _, p := range w.manager.Progress(testTransfer).Prefixes {
		known += p.Queued + p.Assigned + p.Finished.Count()
		finished += p.Finished.Count()
		for first, last := range gapsBetween(p.Finished) {
			for n := first; n <= last; n++ {
				if id := (protocol.ArchiveID{Transfer: testTransfer, Prefix: p.Prefix, Number: n}); !w.completed[id] {
					w.t.Fatalf("I6: %v counts as finished, no worker finished it", id)
				}
			}
		}
		if before := w.recorded[p.Prefix].Finished; p.Finished.Count() < before.Count() {
			w.t.Fatalf("I6: %d archives of %s were finished, now %d", before.Count(), p.Prefix, p.Finished.Count())
		}
	}
	if known != w.scheduled {
		w.t.Fatalf("I6: %d archives are queued, assigned or finished, of %d", known, w.scheduled)
	}
	w.checkHands()
}

// checkHands looks for an archive in the hands of two workers, and two planners.
func (w *world) checkHands() {
	holders := map[protocol.ArchiveID]protocol.WorkerID{}
	planners := 0
	for _, worker := range w.manager.ordered {
		g := worker.lease.Grant()
		if g.Epoch != w.epoch {
			continue
		}
		if g.Plan && worker.lease.MayPlan() { // the duty ends with the lease
			planners++
		}
		outstanding := 0
		for _, p := range g.Prefixes {
			for _, a := range p.Assignments {
				outstanding++
				wp := worker.ensure(worker.transfer.byName[p.Prefix])
				if holder, _ := wp.prefix.work.Holder(a.Archive.Number); holder != worker.id {
					continue // withdrawn; the next grant says so
				}
				if other, twice := holders[a.Archive]; twice {
					w.t.Fatalf("I6: %v is assigned to %s and %s", a.Archive, other, worker.id)
				}
				holders[a.Archive] = worker.id
			}
		}
		if outstanding > protocol.MaxOutstanding {
			w.t.Fatalf("%s has %d archives assigned", worker.id, outstanding)
		}
	}
	w.checkReserves(holders)
	if planners > 1 {
		w.t.Fatalf("%d workers hold the planning duty", planners)
	}
}

// gapsBetween yields the runs of members of a set.
func gapsBetween(r protocol.Ranges) func(func(int64, int64) bool) {
	return func(yield func(int64, int64) bool) {
		for part := range strings.SplitSeq(r.String(), ",") {
			first, last, isRange := strings.Cut(part, "-")
			from, err := strconv.ParseInt(first, 10, 64)
			to := from
			if isRange {
				to, _ = strconv.ParseInt(last, 10, 64)
			}
			if err == nil && !yield(from, to) {
				return
			}
		}
	}
}

// checkReserves looks for an archive in two reserves, or in one and in somebody's hands.
func (w *world) checkReserves(holders map[protocol.ArchiveID]protocol.WorkerID) {
	for _, worker := range w.manager.ordered {
		for _, wp := range worker.prefixes {
			for first, last := range wp.work.Reserved().Runs() {
				for n := first; n <= last; n++ {
					id := protocol.ArchiveID{Transfer: testTransfer, Prefix: wp.prefix.name, Number: n}
					if other, twice := holders[id]; twice {
						w.t.Fatalf("I9: %v is in the reserve of %s, and %s holds it or has it in its own", id, worker.id, other)
					}
					holders[id] = worker.id
				}
			}
		}
	}
}
