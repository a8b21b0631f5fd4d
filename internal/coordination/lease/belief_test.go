package lease

import (
	"testing"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// believed gives what is believed of the time that each of a worker's reports spans, each of which says
// uptime and comes after gap.
func believed(reports int, uptime, gap func(i int) time.Duration) (all []time.Duration) {
	var l Ledger
	now := time.Unix(1000, 0)
	l.Issue(now, protocol.Grant{ReportInterval: time.Second}, Terms{Interval: time.Second, BaseInterval: time.Second})
	r := protocol.Report{Instance: "i", Sequence: 1, Uptime: time.Second}
	l.Take(now, r)
	for i := range reports {
		now = now.Add(gap(i))
		r.Sequence++
		r.Uptime += uptime(i)
		all = append(all, l.Believe(now, r, nil).Elapsed)
		l.Take(now, r)
	}
	return all
}

func always(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

// A worker whose clock stands still seems to carry what it carried in no time. It is believed for an
// interval, and another report at most.
func TestAClockThatStandsStill(t *testing.T) {
	sum := time.Duration(0)
	for _, d := range believed(60, always(time.Millisecond), always(time.Second)) {
		sum += d
	}
	if sum < 55*time.Second {
		t.Errorf("sixty reports of a second each are believed to span %v", sum)
	}
}

// A report that comes late, by as much as it likes, spans what it says, and so does the next.
func TestAReportThatComesLate(t *testing.T) {
	gap := func(i int) time.Duration {
		switch i {
		case 20:
			return 10 * time.Second // sent after one, late by nine
		case 21:
			return time.Second / 2 // as the next one was due long ago
		}
		return time.Second
	}
	uptime := func(i int) time.Duration {
		if i == 21 {
			return 9500 * time.Millisecond
		}
		return time.Second
	}
	for i, d := range believed(40, uptime, gap) {
		if want := uptime(i); (d - want).Abs() > 50*time.Millisecond {
			t.Errorf("report %d spans %v, and is believed to span %v", i, want, d)
		}
	}
}

// However long its intervals are, a clock that stands still is believed to have stood still for one of them, and for
// what drift may explain.
func TestAClockThatStandsStillForLong(t *testing.T) {
	const reports, gap = 90, 40 * time.Second
	sum := time.Duration(0)
	for _, d := range believed(reports, always(time.Millisecond), always(gap)) {
		sum += d
	}
	if want := time.Duration(0.95 * reports * float64(gap)); sum < want {
		t.Errorf("%d reports of 40 s each are believed to span %v, want %v", reports, sum, want)
	}
}
