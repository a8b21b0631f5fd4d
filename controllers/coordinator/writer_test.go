package coordinator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// lead makes a worker of a transfer known to the core.
func lead(t testing.TB, d *domain, transfer protocol.TransferID, worker protocol.WorkerID) {
	t.Helper()
	now := d.Clock.Now()
	if err := d.core.PutTransfer(now, protocol.Transfer{ID: transfer, Weight: 1, Config: protocol.DefaultConfig()}); err != nil {
		t.Fatal(err)
	}
	d.core.AddWorker(now, worker, transfer, 0)
}

// settle waits until all that was handed over has been tried, and fails the test if something
// has failed.
func settle(t *testing.T, d *domain) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); d.writes.waiting() > 0; time.Sleep(time.Millisecond) {
		if err := d.writes.failures(); err != nil {
			t.Fatal(err)
		}
		if !time.Now().Before(deadline) {
			t.Fatalf("%d objects are not written after a minute", d.writes.waiting())
		}
	}
	if err := d.writes.failures(); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something that is about to happen.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); time.Sleep(time.Millisecond) {
		if !time.Now().Before(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// tape records what was written.
type tape struct {
	mu   sync.Mutex
	made []string
}

func (p *tape) write(what string, err error) write {
	return func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.made = append(p.made, what)
		return err
	}
}

func (p *tape) is(want ...string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Equal(p.made, want)
}

func newTestWriter(ctx context.Context, c clock.WithTicker) *writer {
	return newWriter(ctx, c, func(time.Duration) {})
}

// While an object is being written the others are too, and of what is decided of it meanwhile
// only the newest is written, afterwards.
func TestTheNewestWriteWins(t *testing.T) {
	w, p := newTestWriter(t.Context(), clock.RealClock{}), &tape{}
	slow, other := object{"1", "slow"}, object{"1", "other"}
	began, release := make(chan struct{}), make(chan struct{})
	w.put(slow, func(ctx context.Context) error {
		close(began)
		<-release
		return p.write("first", nil)(ctx)
	})
	<-began
	w.put(slow, p.write("second", nil))
	w.put(slow, p.write("third", nil))
	w.put(other, p.write("other", nil))
	eventually(t, "the other object is written", func() bool { return p.is("other") && !w.holds(other) })
	if !w.holds(slow) || w.waiting() != 1 {
		t.Errorf("%d objects are waiting, the slow one %t; want it alone", w.waiting(), w.holds(slow))
	}
	close(release)
	eventually(t, "the newest is written, and the one before is not", func() bool { return p.is("other", "first", "third") && w.waiting() == 0 })
}

// What failed is tried again after a pause, unless something newer has taken its place.
func TestAFailedWriteIsTriedAgain(t *testing.T) {
	c := testingclock.NewFakeClock(time.Unix(1000, 0))
	w, p := newTestWriter(t.Context(), c), &tape{}
	o, broken := object{"1", "w"}, errors.New("broken")
	w.put(o, p.write("first", broken))
	eventually(t, "it fails", func() bool { return p.is("first") && errors.Is(w.failures(), broken) })
	w.put(o, p.write("second", broken))
	w.put(o, p.write("third", nil))
	time.Sleep(20 * time.Millisecond)
	if !p.is("first") {
		t.Error("it was tried again at once")
	}
	eventually(t, "the newest is written after the pause", func() bool {
		c.Step(firstRewrite)
		return p.is("first", "third") && w.waiting() == 0
	})
	if err := w.failures(); err != nil {
		t.Errorf("a failure is told twice: %v", err)
	}
}

// A manager that does not lead any more writes nothing: what is under way is cut off, and what
// waits is not begun.
func TestAWriterThatEndsWritesNoMore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w, p := newTestWriter(ctx, clock.RealClock{}), &tape{}
	var busy sync.WaitGroup
	for i := range writesAtOnce {
		busy.Add(1)
		w.put(object{"1", protocol.WorkerID(rune('a' + i))}, func(ctx context.Context) error {
			busy.Done()
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}
	busy.Wait()
	w.put(object{"1", "waits"}, p.write("late", nil))
	cancel()
	w.end()
	w.put(object{"1", "after"}, p.write("later", nil))
	time.Sleep(20 * time.Millisecond)
	if !p.is() {
		t.Errorf("written after the end: %v", p.made)
	}
	if err := w.failures(); err != nil {
		t.Errorf("what was cut off counts as failed: %v", err)
	}
}

// What is to be written of a transfer that is gone is given up, also what fails just then.
func TestADroppedTransferIsNotWritten(t *testing.T) {
	c := testingclock.NewFakeClock(time.Unix(1000, 0))
	w, p := newTestWriter(t.Context(), c), &tape{}
	began, release := make(chan struct{}), make(chan struct{})
	w.put(object{"1", "w"}, func(context.Context) error {
		close(began)
		<-release
		return errors.New("gone")
	})
	<-began
	w.put(object{"2", "w"}, p.write("of another", nil))
	eventually(t, "another transfer is written", func() bool { return p.is("of another") })
	w.put(object{"1", "w"}, p.write("newer", nil))
	w.drop("1")
	close(release)
	for range 5 {
		time.Sleep(5 * time.Millisecond)
		c.Step(longestRewrite)
	}
	if !p.is("of another") || w.waiting() != 0 {
		t.Errorf("written: %v, %d waiting", p.made, w.waiting())
	}
}

// A panic in a write is told to the next tick, which parks the destination.
func TestAPanicInAWriteIsAFailure(t *testing.T) {
	w := newTestWriter(t.Context(), testingclock.NewFakeClock(time.Unix(1000, 0)))
	w.put(object{"1", "w"}, func(context.Context) error { panic("bug") })
	var failed error
	eventually(t, "it fails", func() bool { failed = w.failures(); return failed != nil })
	var p *panicked
	if !errors.As(failed, &p) {
		t.Errorf("the failure is %v", failed)
	}
}
