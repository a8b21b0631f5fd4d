package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Deadlines happen when events that were set instead of them would, in the same order,
// and those that were taken back don't.
func TestDeadlinesAreEvents(t *testing.T) {
	const length = 50
	type happened struct {
		at time.Duration
		id int
	}
	history := func(asEvents bool) (list []happened) {
		random := rand.New(rand.NewPCG(1, 2))
		a := &agenda{}
		d := newDeadlines(a, length)
		lines, events := make([]deadline, 20), make([]event, 20)
		for i := range lines {
			act := func() { list = append(list, happened{a.now, i}) }
			lines[i].act, events[i].act = act, act
		}
		for step := range 2000 {
			i := random.IntN(len(lines))
			a.set(&event{act: func() {
				list = append(list, happened{a.now, -step})
				lines[i].cancel()
				a.cancel(&events[i])
				switch {
				case step%3 == 0:
				case asEvents:
					a.set(&events[i], a.now+length)
				default:
					d.set(&lines[i])
				}
			}}, time.Duration(random.IntN(3000)))
		}
		for a.next(10_000) {
		}
		return list
	}
	want, got := history(true), history(false)
	if !slices.Equal(want, got) {
		t.Errorf("deadlines gave another course of %d things than events, of %d", len(got), len(want))
	}
	if len(want) < 2100 {
		t.Errorf("only %d things happened", len(want))
	}
}
