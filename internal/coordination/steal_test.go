package coordination

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// yard runs a coordinator with workers that send what they are assigned, in
// order, each at a speed of its own, until everything has ended.
type yard struct {
	t       *testing.T
	f       *fixture
	workers map[protocol.WorkerID]*hauler
	counted map[int64]int // outcomes that a worker told of, by archive
	sizes   map[int64]float64
}

// hauler is a worker of a yard. Hung ones neither work nor report.
type hauler struct {
	speed float64 // bytes per second
	hung  bool
	work  []protocol.Assignment
	sent  float64 // of the first of work
	sum   float64
	ended map[protocol.Assignment]bool
}

// yardArchive is the size in bytes of an archive unless the yard gives another.
const yardArchive = 64e6

func newYard(t *testing.T, config protocol.Config, archives int64, speeds ...float64) *yard {
	t.Helper()
	y := &yard{t: t, f: newFixture(t, config), workers: map[protocol.WorkerID]*hauler{}, counted: map[int64]int{}, sizes: map[int64]float64{}}
	for n := range archives {
		must(t, y.f.c.ScheduleUpload(protocol.Upload{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: n}, Bytes: yardArchive, Files: 2}))
	}
	for i, speed := range speeds {
		id := protocol.WorkerID(fmt.Sprintf("w%02d", i))
		y.f.c.AddWorker(y.f.now, id, "t", 100)
		y.f.reports[id] = &protocol.Report{Worker: id, Transfer: "t", Instance: "1", MaxInFlight: 100}
		y.workers[id] = &hauler{speed: speed, ended: map[protocol.Assignment]bool{}}
		y.f.report(id)
	}
	y.f.tick()
	return y
}

// haul passes two seconds.
func (y *yard) haul() {
	for _, id := range slices.Sorted(maps.Keys(y.workers)) {
		h := y.workers[id]
		if h.hung {
			continue
		}
		finished := h.move(y.f.grants[id], 2, y.size)
		for _, o := range finished {
			y.counted[o.Archive.Number]++
		}
		r := y.f.reports[id]
		r.Prefixes = []protocol.PrefixCounters{{
			Prefix: "a", Started: int64(h.sum/8e6) + 1, Accepted: int64(h.sum / 8e6), Bytes: int64(h.sum),
			MaxInFlight: 3, AttemptP50: 100 * time.Millisecond, SenderLimited: len(h.work) == 0,
		}}
		y.f.report(id, finished...)
	}
	y.f.tick()
}

func (y *yard) size(a protocol.Assignment) float64 {
	if size := y.sizes[a.Archive.Number]; size > 0 {
		return size
	}
	return yardArchive
}

// move works on the assignments of a grant for some seconds. Work that is no
// longer granted is lost.
func (h *hauler) move(g protocol.Grant, seconds float64, size func(protocol.Assignment) float64) []protocol.Outcome {
	h.work = h.work[:0]
	var first protocol.Assignment
	for _, p := range g.Prefixes {
		for _, a := range p.Assignments {
			if !h.ended[a] {
				h.work = append(h.work, a)
			}
		}
	}
	if len(h.work) > 0 {
		first = h.work[0]
	}
	var outcomes []protocol.Outcome
	budget := h.speed * seconds
	for len(h.work) > 0 && budget > 0 {
		part := min(budget, size(first)-h.sent)
		h.sent += part
		h.sum += part
		budget -= part
		if h.sent < size(first) {
			break
		}
		outcomes = append(outcomes, protocol.Outcome{Archive: first.Archive, Done: protocol.Tally{Files: 1, Bytes: 1}})
		h.ended[first] = true
		h.work, h.sent = h.work[1:], 0
		if len(h.work) > 0 {
			first = h.work[0]
		}
	}
	return outcomes
}

// finish hauls until everything has ended and gives the time that took.
func (y *yard) finish() time.Duration {
	y.t.Helper()
	began := y.f.now
	for range 3000 {
		if p := y.f.prefix("a"); p.Queued+p.Assigned == 0 {
			return y.f.now.Sub(began)
		}
		y.haul()
	}
	y.t.Fatalf("archives are left: %+v", y.f.prefix("a"))
	return 0
}

// The end of a transfer does not wait for slow or hung workers: two of 32 fall
// silent with their hands full, four have a tenth of the speed.
func TestTheEndDoesNotWaitForTheSlowest(t *testing.T) {
	tests := map[string]struct {
		archives int64
		want     time.Duration
	}{
		// The fluid bound, all workers but the hung ones being busy to the end, is
		// 4.8 s, 24 s and 73 s; moving an archive takes three intervals of 2 s.
		"a few each":  {200, 14 * time.Second},
		"many each":   {1000, 34 * time.Second},
		"a long haul": {3000, 88 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := protocol.DefaultConfig()
			config.GlobalCongestionWindow = 128
			speeds := slices.Repeat([]float64{100e6}, 32)
			for i := range 4 {
				speeds[i] = 10e6
			}
			y := newYard(t, config, test.archives, speeds...)
			y.haul()
			y.haul()
			y.workers["w10"].hung, y.workers["w11"].hung = true, true
			if took := y.finish() + 4*time.Second; took > test.want {
				t.Errorf("took %v, want %v", took, test.want)
			}
			if p := y.f.prefix("a"); p.Done.Files != test.archives {
				t.Errorf("%d archives counted, want %d", p.Done.Files, test.archives)
			}
		})
	}
}

// What is recalled goes to nobody else before its worker has let go of it.
func TestRecalledArchivesWaitForTheAcknowledgement(t *testing.T) {
	y := newYard(t, protocol.DefaultConfig(), 8, 1e6, 100e6)
	for range 8 { // the fast worker finishes its own
		y.haul()
		if len(y.f.assigned("w01", "a")) == 0 {
			break
		}
	}
	before := y.f.grants["w00"]
	for y.f.grants["w00"].Sequence == before.Sequence {
		y.haul()
	}
	recalled := missing(before, y.f.grants["w00"])
	if len(recalled) == 0 {
		t.Fatalf("nothing was recalled from a worker of a hundredth of the speed: %v", y.f.assigned("w00", "a"))
	}
	// It goes on under the grant of before, and the other asks for more.
	after := y.f.grants["w00"]
	for range 3 {
		y.f.grants["w00"] = before
		y.f.report("w00")
		y.f.report("w01")
		y.f.tick()
		if taken := y.f.assigned("w01", "a"); len(taken) > 0 {
			t.Fatalf("%v was recalled and %v is assigned before that was acknowledged", recalled, taken)
		}
	}
	y.f.grants["w00"] = after
	y.f.report("w00", done("a", recalled[0])) // it ended before the recall came
	y.f.report("w01")
	y.f.tick()
	if p := y.f.prefix("a"); !p.Finished.Contains(recalled[0]) {
		t.Errorf("archive %d ended, and does not count", recalled[0])
	}
	if got := y.f.assigned("w01", "a"); len(got) == 0 && len(recalled) > 1 || slices.Contains(got, recalled[0]) {
		t.Errorf("assigned %v of the recalled %v", got, recalled)
	}
}

// missing lists the archives that the first grant names and the second does not.
func missing(before, after protocol.Grant) []int64 {
	var numbers []int64
	for _, p := range before.Prefixes {
		for _, a := range p.Assignments {
			if !slices.ContainsFunc(after.Prefixes, func(q protocol.PrefixGrant) bool { return slices.Contains(q.Assignments, a) }) {
				numbers = append(numbers, a.Archive.Number)
			}
		}
	}
	return numbers
}

// Both workers of a hedged archive complete it: the first outcome counts.
func TestHedgedArchivesCountOnce(t *testing.T) {
	for name, order := range map[string][]protocol.WorkerID{"silent first": {"w00", "w01"}, "other first": {"w01", "w00"}} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, protocol.DefaultConfig(), 2, 1e6, 1e6)
			silent, own := y.f.assigned("w00", "a"), y.f.assigned("w01", "a")
			if len(silent) != 1 || len(own) != 1 {
				t.Fatalf("assigned %v and %v, want one each", silent, own)
			}
			y.f.report("w01", done("a", own[0]))
			for range 8 { // w00 is not heard, but its lease holds
				y.f.round("w01")
			}
			if got := y.f.assigned("w01", "a"); !slices.Equal(got, silent) {
				t.Fatalf("the other worker is assigned %v, want %v", got, silent)
			}
			for _, id := range order {
				y.f.report(id, done("a", silent[0]))
			}
			y.f.tick()
			if p := y.f.prefix("a"); p.Done.Files != 4 || p.Queued+p.Assigned != 0 {
				t.Errorf("%d files done, %d queued, %d assigned; want 4, 0, 0", p.Done.Files, p.Queued, p.Assigned)
			}
		})
	}
}

// An archive that its worker will soon have sent stays where it is.
func TestStealingHasToPay(t *testing.T) {
	y := newYard(t, protocol.DefaultConfig(), 2, 4e6, 100e6)
	holder := y.f.assigned("w00", "a")
	if len(holder) != 1 {
		t.Fatalf("assigned %v to the slow worker, want one", holder)
	}
	for range 6 { // 48 of 64 MB are sent when the other has long been idle
		y.haul()
	}
	y.workers["w00"].speed = 12e6
	y.finish()
	if got := y.counted[holder[0]]; got != 1 {
		t.Errorf("archive %d was sent %d times", holder[0], got)
	}
}

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
