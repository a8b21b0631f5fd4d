package upload

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// path is a model of one: what parts in flight get of it, every ten milliseconds.
type path struct {
	// bytes per second, of all together and of each connection; 0 for no bound. buffer is
	// what a connection takes at once.
	shared, each, buffer float64
}

// run sends parts of an object over the path for a while, and returns how many are done
// after each second, and how many were in flight at most.
func (p path) run(t *testing.T, window, count int, length int64, until time.Duration) (done []int, most int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), until)
	defer cancel()
	s := newSpread(func() int { return window })
	var mu sync.Mutex
	var finished, inFlight atomic.Int64
	flying := map[int]float64{} // what is left of parts, by number
	waiting := map[int]chan struct{}{}
	go func() {
		for range int(until / (10 * time.Millisecond)) {
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			share := p.shared / float64(max(1, len(flying))) / 100
			for n := range flying {
				get := share
				if p.each > 0 && (p.shared == 0 || p.each/100 < get) {
					get = p.each / 100
				}
				s.sent.Add(int64(get))
				if flying[n] -= get; flying[n] <= 0 {
					close(waiting[n])
					delete(flying, n)
				}
			}
			mu.Unlock()
		}
	}()
	var work sync.WaitGroup
	work.Go(func() {
		for range int(until / time.Second) {
			time.Sleep(time.Second)
			done = append(done, int(finished.Load()))
		}
	})
	for n := range count {
		if s.begin(ctx) != nil {
			break
		}
		begun, arrived := time.Now(), make(chan struct{})
		most = max(most, int(inFlight.Add(1)))
		mu.Lock()
		flying[n], waiting[n] = float64(length), arrived
		s.sent.Add(int64(p.buffer))
		mu.Unlock()
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
	work.Wait()
	return done, most
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
