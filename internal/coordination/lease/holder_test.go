package lease

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The manager counts a lease from when it answers a report, by a clock that may
// run slow or fast. However messages are delayed, lost, repeated or reordered,
// the worker's lease ends first.
func TestLeaseEndsBeforeTheManagerBelievesSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(1000, 0)
		after := rapid.Int64Range(0, 3).Draw(t, "after")
		l := NewHolder(start, after)
		// One unit of the worker's clock is this many of the manager's.
		drift := rapid.Float64Range(1/1.01, 1.01).Draw(t, "drift")
		now := start
		var believed time.Time // when, by the worker's clock, the manager's lease ends
		type answer struct {
			sequence int64
			duration time.Duration
		}
		var reports []int64
		var answers []answer
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				reports = append(reports, l.Send(now))
			case 1:
				if len(reports) == 0 {
					continue
				}
				d := time.Duration(rapid.IntRange(1, 20).Draw(t, "s")) * time.Second
				answers = append(answers, answer{rapid.SampledFrom(reports).Draw(t, "acknowledged"), d})
				if end := now.Add(time.Duration(float64(d) / drift)); end.After(believed) {
					believed = end
				}
			case 2:
				if len(answers) == 0 {
					continue
				}
				// Grants are fenced, so none is taken in before one that it follows.
				i := rapid.IntRange(0, len(answers)-1).Draw(t, "arrives")
				l.Acknowledge(now, answers[i].sequence, answers[i].duration, 0)
				answers = answers[i:]
			}
			if l.Phase(now) == Held && !now.Before(believed) {
				t.Fatalf("held at %s, the manager's lease ended at %s", now.Sub(start), believed.Sub(start))
			}
		}
	})
}

func TestLeasePhases(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	l := NewHolder(start, 0)
	l.Acknowledge(start, 0, 10*time.Second, 0)
	first := l.Send(at(1))
	steps := []struct {
		at   float64
		ack  int64
		want Phase
	}{
		{2, 0, Pending},
		{3, first, Held},
		{10.8, first, Held},
		{10.9, first, Expired},
		{11, first + 1, Expired}, // never sent: another process's
	}
	for _, s := range steps {
		l.Acknowledge(at(s.at), s.ack, 10*time.Second, 0)
		if got := l.Phase(at(s.at)); got != s.want {
			t.Errorf("at %v s: phase %d, want %d", s.at, got, s.want)
		}
	}
}

func TestLeaseForgetsReportsThatCannotProlongIt(t *testing.T) {
	l := NewHolder(time.Unix(0, 0), 0)
	l.Acknowledge(time.Unix(0, 0), 0, 10*time.Second, 0)
	for i := range 1000 {
		l.Send(time.Unix(int64(i), 0))
	}
	if len(l.sent) > 11 {
		t.Errorf("%d reports kept", len(l.sent))
	}
}
