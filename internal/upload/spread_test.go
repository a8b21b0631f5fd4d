package upload

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// path is a model of one: what parts in flight get of it, in each step.
type path struct {
	// bytes per second, of all together and of each connection; 0 for no bound. buffer is
	// what a connection takes at once.
	shared, each, buffer float64
}

// run sends parts of an object over the path for a while, and returns how many are done
// after each second, and how many were in flight at most. What happens at one instant
// happens one after the other, each with all that follows from it.
func (p path) run(t *testing.T, window, count int, length int64, until time.Duration) (done []int, most int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), until+time.Second)
	defer cancel()
	s := newSpread(func() int { return window })
	f := &transit{left: map[int]float64{}, arrived: map[int]chan struct{}{}}
	var finished, inFlight atomic.Int64
	go func() {
		for n := range count {
			if s.begin(ctx) != nil {
				return
			}
			begun, arrived := time.Now(), f.begin(n, length)
			most = max(most, int(inFlight.Add(1)))
			s.sent.Add(int64(p.buffer))
			go func() {
				select {
				case <-arrived:
					finished.Add(1)
				case <-ctx.Done():
				}
				inFlight.Add(-1)
				s.end(length, time.Since(begun))
			}()
		}
	}()
	for n := range int(until / step) {
		time.Sleep(step)
		synctest.Wait()
		sent, arrived := f.move(p)
		s.sent.Add(sent)
		for _, c := range arrived {
			close(c)
			synctest.Wait()
		}
		if (n+1)%int(time.Second/step) == 0 {
			done = append(done, int(finished.Load()))
		}
	}
	cancel()
	synctest.Wait()
	return done, most
}

// step is how often a path moves what is in flight.
const step = 10 * time.Millisecond

// transit is what is in flight: by the number of a part, what is left of it in bytes, and
// what is closed when it has arrived.
type transit struct {
	mu      sync.Mutex
	left    map[int]float64
	arrived map[int]chan struct{}
}

func (f *transit) begin(n int, length int64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left[n], f.arrived[n] = float64(length), make(chan struct{})
	return f.arrived[n]
}

// move carries what the path carries in one step, and returns how many bytes that was, and
// what to close for the parts that have arrived, in their order.
func (f *transit) move(p path) (sent int64, arrived []chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	get := p.shared / float64(max(1, len(f.left)))
	if p.each > 0 && (p.shared == 0 || p.each < get) {
		get = p.each
	}
	get *= step.Seconds()
	for _, n := range slices.Sorted(maps.Keys(f.left)) {
		sent += int64(get)
		if f.left[n] -= get; f.left[n] <= 0 {
			arrived = append(arrived, f.arrived[n])
			delete(f.left, n)
			delete(f.arrived, n)
		}
	}
	return sent, arrived
}

func TestSpread(t *testing.T) {
	const window = 38
	for name, c := range map[string]struct {
		path
		// done is the least number of parts done after so many seconds, in flight at most.
		after, done, most int
	}{
		// 38 parts at once would take 25 s, and have nothing done before.
		"a slow link":                      {path{shared: 12.5 * mebi}, 4, 4, 8},
		"a slow link with large buffers":   {path{shared: 12.5 * mebi, buffer: 4 * mebi}, 4, 4, 8},
		"a link":                           {path{shared: 40 * mebi}, 4, 12, 15},
		"connections that are slow":        {path{each: mebi}, 20, 38, window},
		"connections that are not so slow": {path{each: 5 * mebi}, 4, 38, window},
		"a fast path":                      {path{each: 100 * mebi}, 1, 200, window},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				done, most := c.run(t, window, 10_000, minPart, 30*time.Second)
				if done[c.after-1] < c.done || most > c.most {
					t.Errorf("%d parts after %d s, want %d; %d in flight, want at most %d", done[c.after-1], c.after, c.done, most, c.most)
				}
			})
		})
	}
}

func TestSpreadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpread(func() int { return 1 })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.begin(ctx); err != nil {
			t.Fatal(err)
		}
		if err := s.begin(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second part within a window of one: %v", err)
		}
	})
}

// TestObjectsShareTheWindow counts those of one prefix.
func TestObjectsShareTheWindow(t *testing.T) {
	var p parted
	p.add("a", 1)
	p.add("a", 1)
	p.add("b", 1)
	p.add("b", -1)
	if p.count("a") != 2 || p.count("b") != 1 || len(p.counts) != 1 {
		t.Errorf("counts %v", p.counts)
	}
}
