package sim

import (
	"fmt"
	"slices"

	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/pace"
)

// prefixWork is the work on one prefix.
type prefixWork struct {
	worker   *worker
	prefix   *prefix
	law      pace.Pacer
	limits   pace.Limit
	meter    meter
	assigned []assigned
	reserve  protocol.Ranges // archives of the grant's reserve that were not begun
	taken    protocol.Ranges // those ever begun
	limit    int             // parts that may be under way
	files    int             // parts that are
	queue    []*task
	paced    event
}

// assigned is one assignment of the grant.
type assigned struct {
	number  int64
	attempt int
	run     *attempt
	ended   bool
	// reserved: it was taken from the reserve.
	reserved bool
}

// attempt is the work on one archive.
type attempt struct {
	prefixWork *prefixWork
	archive    *archive
	number     int64
	attempt    int
	next       int // part to begin
	tasks      []*task
	troubles   int
	withdrawn  bool
	begun      protocol.GrantID // the grant that it was begun under
}

// prefixWork finds or makes the work on a prefix.
func (x *worker) prefixWork(name string) *prefixWork {
	p := x.work.byName[name]
	if p == nil {
		return nil
	}
	l := x.prefixes[p.index]
	if l == nil {
		seed := stream(x.fleet.seed, fmt.Sprintf("pace %s/%d %s", x.id, x.instance, name)).Uint64()
		l = &prefixWork{worker: x, prefix: p, law: pace.NewPacer(seed)}
		l.meter.fresh = l.meter.take()
		l.paced.act = func() { x.unlessHung(l.pumpGate) }
		x.prefixes[p.index] = l
	}
	return l
}

// takeOver goes on with the attempts that are still granted, be it as a reserve.
func (l *prefixWork) takeOver(assignments []protocol.Assignment, reserve protocol.Ranges, before []assigned) {
	l.reserve = reserve.Clone()
	for _, old := range before {
		if old.reserved && l.reserve.Remove(old.number) && !slices.ContainsFunc(assignments, func(a protocol.Assignment) bool { return a.Archive.Number == old.number }) {
			l.assigned = append(l.assigned, old)
		}
	}
	for _, a := range assignments {
		as := assigned{number: a.Archive.Number, attempt: a.Attempt}
		for _, old := range before {
			if old.number == as.number && old.attempt == as.attempt {
				as.run, as.ended = old.run, old.ended
			}
		}
		l.assigned = append(l.assigned, as)
	}
}

func (l *prefixWork) holds(a *attempt) bool {
	return slices.ContainsFunc(l.assigned, func(as assigned) bool { return as.run == a })
}

// pump begins on a prefix whatever may begin now.
func (l *prefixWork) pump() {
	if l.limit == 0 {
		return
	}
	ahead := 0
	for i := range l.assigned {
		as := &l.assigned[i]
		if as.run == nil && ahead < protocol.ArchivesAhead && l.worker.unfinished(*as) {
			l.begin(as)
		}
		a := as.run
		if a == nil {
			continue
		}
		// Only the most urgent archive sends; the one behind it is fetched meanwhile.
		if ahead == 0 {
			l.send(a)
		}
		if a.unsent() {
			ahead++
		}
		if ahead == protocol.ArchivesAhead {
			return
		}
	}
	for ahead < protocol.ArchivesAhead && l.takeReserved() {
		as := &l.assigned[len(l.assigned)-1]
		l.begin(as)
		if ahead == 0 {
			l.send(as.run)
		}
		ahead++
	}
}

// takeReserved takes the next archive of the reserve, if nobody leads and there is one.
func (l *prefixWork) takeReserved() bool {
	x := l.worker
	for x.lease.coasts(x.clock()) && x.room() {
		n, ok := l.reserve.First()
		if !ok {
			return false
		}
		l.reserve.Remove(n)
		if l.taken.Add(n) {
			l.assigned = append(l.assigned, assigned{number: n, attempt: 1, reserved: true})
			return true
		}
	}
	return false
}

func (l *prefixWork) begin(as *assigned) {
	x := l.worker
	archive := l.prefix.archive(as.number)
	if archive == nil {
		panic(fmt.Sprintf("archive %d of prefix %s was assigned before it appeared", as.number, l.prefix.name))
	}
	archive.cut()
	as.run = &attempt{prefixWork: l, archive: archive, number: as.number, attempt: as.attempt, begun: x.grant.ID()}
	x.attempts++
	x.fleet.check.begins(x, as.run)
}

// send begins as many parts as the prefix has room for.
func (l *prefixWork) send(a *attempt) {
	for a.unsent() && l.files < l.limit {
		l.files++
		t := l.worker.newTask(a, a.next)
		a.next++
		t.begin()
	}
}

func (a *attempt) parts() int { return a.archive.parts }

// unsent says that there are parts that the attempt has yet to begin.
func (a *attempt) unsent() bool { return a.next < a.parts() }

// withdraw cancels the attempt: its requests are aborted.
func (a *attempt) withdraw() {
	a.withdrawn = true
	l := a.prefixWork
	l.meter.withdrawn = append(l.meter.withdrawn, a)
	for len(a.tasks) > 0 {
		a.tasks[0].cancel()
	}
	l.retire(a)
}

// retire lets go of a withdrawn attempt.
func (l *prefixWork) retire(a *attempt) {
	l.meter.withdrawn = slices.DeleteFunc(l.meter.withdrawn, func(x *attempt) bool { return x == a })
	l.worker.attempts--
}

// vanish ends the attempt with its process.
func (a *attempt) vanish() {
	for _, t := range a.tasks {
		if t.request.running {
			t.prefixWork.worker.fleet.record.vanished()
		}
		t.request.drop()
		t.prefixWork.worker.fleet.cancel(&t.timer)
	}
	a.tasks = nil
}

// settle records that a part has ended for good, and ends the attempt with the
// last one.
func (a *attempt) settle(ok bool) {
	l := a.prefixWork
	if !ok {
		if a.troubles++; a.troubles >= protocol.MaxTroubles {
			a.next = a.parts() // the destination is unwell: no more parts begin
		}
	}
	if len(a.tasks) == 0 && !a.unsent() && !a.withdrawn {
		l.finish(a)
	}
	l.pump()
}

// finish ends an attempt and queues its report.
func (l *prefixWork) finish(a *attempt) {
	x := l.worker
	x.attempts--
	for i := range l.assigned {
		if l.assigned[i].run == a {
			l.assigned[i].run, l.assigned[i].ended = nil, true
		}
	}
	size := a.archive.transfer.spec.archiveSize()
	o := protocol.Outcome{
		Archive: protocol.ArchiveID{Transfer: x.grant.Transfer, Prefix: l.prefix.name, Number: a.number},
		Done:    protocol.Tally{Files: 1, Bytes: size},
	}
	if a.troubles > 0 {
		o.Done, o.Failed = protocol.Tally{}, protocol.Tally{Files: 1, Bytes: size}
		o.Retry, o.Reason = true, "Throttled"
	} else {
		a.archive.finish()
	}
	x.finished = append(x.finished, finishedArchive{outcome: o, attempt: a.attempt, begun: a.begun})
	if l.starving() {
		x.hurry()
	}
}

// forget has an attempt begin again if it is granted still.
func (l *prefixWork) forget(f finishedArchive) {
	for i := range l.assigned {
		if as := &l.assigned[i]; as.number == f.outcome.Archive.Number && as.attempt == f.attempt {
			as.ended = false
		}
	}
}

// starving says that everything assigned on the prefix has begun to be sent.
func (l *prefixWork) starving() bool {
	return !slices.ContainsFunc(l.assigned, func(as assigned) bool {
		if as.run == nil {
			return l.worker.unfinished(as)
		}
		return as.run.unsent()
	})
}
