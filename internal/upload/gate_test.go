package upload

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Whatever is set, acquired, released and canceled, in whatever order: a request starts
// when there is room in the window, and only then.
func TestGateKeepsToTheWindow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(*testing.T) {
			m := newGateModel()
			defer synctest.Wait()
			defer m.cancelAll()
			rt.Repeat(map[string]func(*rapid.T){
				"set": m.set, "acquire": m.acquire, "release": m.release, "cancel": m.cancel, "": m.check,
			})
		})
	})
}

const modelPrefixes = 3

// gateModel counts what is in flight through a gate with a few prefixes.
type gateModel struct {
	gate      *Gate
	ctx       context.Context
	cancelAll context.CancelFunc
	cancels   []context.CancelFunc

	windows, waiting, inFlight [modelPrefixes]int
	flights                    []flight
	started                    chan flight
	gone                       chan int
}

type flight struct {
	prefix  int
	release func()
}

func newGateModel() *gateModel {
	ctx, cancel := context.WithCancel(context.Background())
	return &gateModel{
		gate: NewGate(), ctx: ctx, cancelAll: cancel, started: make(chan flight, 1000), gone: make(chan int, 1000),
	}
}

func prefixName(prefix int) string { return string(rune('a' + prefix)) }

func (m *gateModel) set(t *rapid.T) {
	var limits []PrefixLimit
	for i := range m.windows {
		m.windows[i] = rapid.IntRange(0, 4).Draw(t, "window")
		if m.windows[i] > 0 || rapid.Bool().Draw(t, "named") {
			limits = append(limits, PrefixLimit{Prefix: prefixName(i), Window: m.windows[i]})
		}
	}
	m.gate.Set(Grant{}, limits)
}

func (m *gateModel) acquire(t *rapid.T) {
	prefix := rapid.IntRange(0, modelPrefixes-1).Draw(t, "prefix")
	ctx, cancel := context.WithCancel(m.ctx)
	m.cancels = append(m.cancels, cancel)
	m.waiting[prefix]++
	go func() {
		release, _, err := m.gate.Acquire(ctx, prefixName(prefix))
		if err != nil {
			m.gone <- prefix
			return
		}
		m.started <- flight{prefix, release}
	}()
}

// release ends a request, and does so twice, which must make no difference.
func (m *gateModel) release(t *rapid.T) {
	if len(m.flights) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.flights)-1).Draw(t, "flight")
	m.inFlight[m.flights[i].prefix]--
	m.flights[i].release()
	m.flights[i].release()
	m.flights = slices.Delete(m.flights, i, i+1)
}

func (m *gateModel) cancel(t *rapid.T) {
	if len(m.cancels) > 0 {
		m.cancels[rapid.IntRange(0, len(m.cancels)-1).Draw(t, "which")]()
	}
}

func (m *gateModel) check(t *rapid.T) {
	synctest.Wait()
	for len(m.started) > 0 {
		f := <-m.started
		m.flights = append(m.flights, f)
		m.waiting[f.prefix]--
		m.inFlight[f.prefix]++
		if m.inFlight[f.prefix] > m.windows[f.prefix] {
			t.Fatalf("%d in flight on prefix %d whose window is %d", m.inFlight[f.prefix], f.prefix, m.windows[f.prefix])
		}
		if inFlight, windows := m.sums(); inFlight > windows {
			t.Fatalf("%d in flight in all, of windows that sum to %d", inFlight, windows)
		}
	}
	for len(m.gone) > 0 {
		m.waiting[<-m.gone]--
	}
	inFlight, windows := m.sums()
	for i := range modelPrefixes {
		if m.waiting[i] > 0 && m.inFlight[i] < m.windows[i] && inFlight < windows {
			t.Fatalf("%d wait on prefix %d with %d in flight of %d", m.waiting[i], i, m.inFlight[i], m.windows[i])
		}
	}
}

// sums are what is in flight on all prefixes, and their windows.
func (m *gateModel) sums() (inFlight, windows int) {
	for i := range modelPrefixes {
		inFlight, windows = inFlight+m.inFlight[i], windows+m.windows[i]
	}
	return inFlight, windows
}

// Slots that move to another prefix are free there once the requests on the first have ended, however many queues
// wait for them.
func TestGateMovesSlotsOnceTheyAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Set(Grant{}, []PrefixLimit{{Prefix: "a", Window: 8}})
		var releases []func()
		for range 8 {
			release, _, err := g.Acquire(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		g.Set(Grant{}, []PrefixLimit{{Prefix: "b", Window: 6}, {Prefix: "c", Window: 2}})
		var moved atomic.Int64
		for i := range 8 {
			go func() {
				if _, _, err := g.Acquire(t.Context(), []string{"b", "b", "b", "c"}[i%4]); err == nil {
					moved.Add(1)
				}
			}()
		}
		for i, release := range releases {
			synctest.Wait()
			if got := moved.Load(); got != int64(i) {
				t.Errorf("%d have begun on other prefixes once %d have ended on the first", got, i)
			}
			release()
		}
		synctest.Wait()
		if got := moved.Load(); got != 8 {
			t.Errorf("%d have begun in the end, want 8", got)
		}
	})
}

func TestGateIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		order := make(chan int, 10)
		for i := range 10 {
			go func() {
				release, _, err := g.Acquire(t.Context(), "prefix")
				if err != nil {
					t.Errorf("Acquire: %v", err)
					return
				}
				order <- i
				synctest.Wait()
				release()
			}()
			synctest.Wait()
		}
		g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 1}})
		for want := range 10 {
			if got := <-order; got != want {
				t.Fatalf("request %d started, want %d", got, want)
			}
		}
	})
}

// starts runs requests that take no time through the gate until the end of the
// duration, and returns when each started.
func starts(t *testing.T, g *Gate, duration time.Duration) []time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), duration)
	defer cancel()
	var at []time.Duration
	begun := time.Now()
	for {
		release, _, err := g.Acquire(ctx, "prefix")
		if err != nil {
			return at
		}
		at = append(at, time.Since(begun))
		release()
		// Without this a prefix without a rate would never let the clock move.
		time.Sleep(time.Microsecond)
	}
}

// burst is how far starts may fall behind the rate and still be made up for.
const burst = 20 * time.Millisecond

func TestGatePacesStarts(t *testing.T) {
	for _, rate := range []float64{0.5, 1, 7, 100, 3500} {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate()
			g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 2, Rate: rate}})
			const seconds = 10
			at := starts(t, g, seconds*time.Second)
			// What the burst allows on top, and the last start that did not fit.
			most := rate*(seconds+burst.Seconds()) + 1
			if n := float64(len(at)); n > most || n < rate*seconds-1 {
				t.Errorf("%v starts in %d s at %v per second, want %v to %v", n, seconds, rate, rate*seconds-1, most)
			}
		})
	}
}

func TestGateSpreadsStartsEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 2, Rate: 10}})
		at := starts(t, g, 2*time.Second)
		for i := 1; i < len(at); i++ {
			if gap := at[i] - at[i-1]; i > 1 && gap < 75*time.Millisecond {
				t.Errorf("start %d came %v after the one before, want 100 ms", i, gap)
			}
		}
	})
}

// Starts that were due while nobody asked are not made up for.
func TestGateForgetsIdleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 100, Rate: 100}})
		starts(t, g, 100*time.Millisecond)
		time.Sleep(time.Minute)
		if n := len(starts(t, g, 100*time.Millisecond)); n > 13 {
			t.Errorf("%d starts in 100 ms after a pause, want at most 13", n)
		}
	})
}

// Refusals slow the starts at once, and what is accepted afterwards lets them
// grow back to the grant.
func TestGateYieldsToThrottling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 1000, Rate: 400}})
		starts(t, g, 3*time.Second)
		for range 20 {
			g.Throttled("prefix")
			time.Sleep(20 * time.Millisecond)
		}
		if n := len(starts(t, g, time.Second)); n > 100 {
			t.Errorf("%d starts in the second after 20 rejections in a row at 400 per second, want at most 100", n)
		}
		g.Accepted("prefix")
		time.Sleep(20 * time.Second)
		if n := len(starts(t, g, time.Second)); n < 390 {
			t.Errorf("%d starts in a second, 20 s after the last refusal, want 390", n)
		}
	})
}

// Requests that wait for a slow pace start when it is lifted.
func TestGateSetWakesPacedRequests(t *testing.T) {
	for _, rate := range []float64{0, 1000} {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate()
			g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 10, Rate: 0.01}})
			if n := len(starts(t, g, time.Second)); n != 1 {
				t.Fatalf("%d starts at the slow pace, want 1", n)
			}
			begun := time.Now()
			time.AfterFunc(time.Second, func() { g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 10, Rate: rate}}) })
			release, _, err := g.Acquire(t.Context(), "prefix")
			if err != nil {
				t.Fatalf("Acquire: %v", err)
			}
			release()
			if waited := time.Since(begun); waited > time.Second+2*time.Millisecond {
				t.Errorf("waited %v, want the second until Set", waited)
			}
		})
	}
}

func TestGateForgetsUnusedPrefixes(t *testing.T) {
	g := NewGate()
	g.Set(Grant{}, []PrefixLimit{{Prefix: "a", Window: 1}, {Prefix: "b", Window: 1}})
	release, _, err := g.Acquire(t.Context(), "a")
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	g.Set(Grant{}, nil)
	if len(g.queues) != 1 {
		t.Errorf("%d queues, want the one in flight", len(g.queues))
	}
	release()
	g.Set(Grant{}, nil)
	if len(g.queues) != 0 {
		t.Errorf("%d queues, want none", len(g.queues))
	}
}

func TestGateAcquireOfEndedContext(t *testing.T) {
	g := NewGate()
	g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 1}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := g.Acquire(ctx, "prefix"); !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire = %v, want context.Canceled", err)
	}
}
