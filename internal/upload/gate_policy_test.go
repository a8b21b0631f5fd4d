package upload

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// passLog is what has passed, and when.
type passLog struct {
	mu     sync.Mutex
	begun  time.Time
	passed map[int]int // by tenths of a second
}

func (p *passLog) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed[int(time.Since(p.begun)/(100*time.Millisecond))] += n
}

// within gives the least and the most per second that passed in any ten seconds between two times.
func (p *passLog) within(from, to time.Duration) (least, most float64) {
	first, last := int(from/(100*time.Millisecond)), int(to/(100*time.Millisecond))
	for begin := first; begin+100 <= last; begin++ {
		sum := 0
		for i := begin; i < begin+100; i++ {
			sum += p.passed[i]
		}
		if rate := float64(sum) / 10; begin == first {
			least, most = rate, rate
		} else {
			least, most = min(least, rate), max(most, rate)
		}
	}
	return least, most
}

// sends sends requests of some sizes one after the other, each of which takes so long beyond its
// body, and counts what passes by a function of one piece.
func sends(ctx context.Context, g *Gate, prefix string, size func() int, service time.Duration, bytes, requests *passLog) {
	for {
		a, err := g.admit(ctx, prefix)
		if err != nil {
			return
		}
		requests.add(1)
		left := size()
		a.charge(int64(left))
		for left > 0 {
			n := g.Pass(ctx, min(left, 256<<10))
			if n == 0 {
				a.release()
				return
			}
			bytes.add(n)
			left -= n
		}
		time.Sleep(service)
		a.release()
	}
}

// runPaced has senders send for a while under paces that change at times.
func runPaced(t *testing.T, size func() int, paces map[time.Duration]Pace, length time.Duration) (bytes, requests *passLog) {
	bytes, requests = &passLog{passed: map[int]int{}}, &passLog{passed: map[int]int{}}
	synctest.Test(t, func(t *testing.T) {
		bytes.begun, requests.begun = time.Now(), time.Now()
		g := NewGate()
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		for at, pace := range paces {
			time.AfterFunc(at, func() { g.Pace(pace) })
		}
		g.Set(Grant{}, []PrefixLimit{{Prefix: "a", Window: 40}, {Prefix: "b", Window: 40}})
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() { sends(ctx, g, "a", size, 50*time.Millisecond, bytes, requests) })
			all.Go(func() { sends(ctx, g, "b", size, 50*time.Millisecond, bytes, requests) })
		}
		all.Wait()
	})
	return bytes, requests
}

// In any ten seconds no more bytes pass than 2 % above the pace and no fewer than 3 % below it,
// whatever the sizes of the bodies and from one second after a switch on.
func TestBytesKeepThePace(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	mixed := func() int {
		mu.Lock()
		defer mu.Unlock()
		return 1 << random.IntN(24)
	}
	for name, size := range map[string]func() int{
		"parts": func() int { return 8 << 20 }, "small files": func() int { return 20_000 }, "mixed": mixed,
	} {
		t.Run(name, func(t *testing.T) {
			bytes, _ := runPaced(t, size, map[time.Duration]Pace{0: {Bytes: 5e6}, 30 * time.Second: {Bytes: 12e6}}, time.Minute)
			for from, want := range map[time.Duration]float64{time.Second: 5e6, 31 * time.Second: 12e6} {
				least, most := bytes.within(from, from+28*time.Second)
				if most > 1.02*want || least < 0.97*want {
					t.Errorf("%.2f to %.2f MB/s, want %.2f", least/1e6, most/1e6, want/1e6)
				}
			}
		})
	}
}

func TestRequestsKeepThePace(t *testing.T) {
	_, requests := runPaced(t, func() int { return 100 }, map[time.Duration]Pace{0: {Requests: 150}, 30 * time.Second: {Requests: 40}}, time.Minute)
	for from, want := range map[time.Duration]float64{time.Second: 150, 31 * time.Second: 40} {
		least, most := requests.within(from, from+28*time.Second)
		if most > 1.02*want || least < 0.97*want {
			t.Errorf("%.1f to %.1f requests per second, want %.1f", least, most, want)
		}
	}
}

// Bodies that wait for the pace are few, so that they do not pass for a queue on the path; and
// the prefixes take turns.
func TestThePaceHoldsRequestsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Pace(Pace{Bytes: 10e6})
		g.Set(Grant{}, []PrefixLimit{{Prefix: "a", Window: 100}, {Prefix: "b", Window: 100}})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		by := map[string]*passLog{}
		var all sync.WaitGroup
		most := 0
		for _, prefix := range []string{"a", "b"} {
			log := &passLog{passed: map[int]int{}, begun: time.Now()}
			by[prefix] = log
			for range 100 {
				all.Go(func() {
					sends(ctx, g, prefix, func() int { return 1 << 20 }, 10*time.Millisecond, log, &passLog{passed: map[int]int{}, begun: time.Now()})
				})
			}
		}
		all.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(500 * time.Millisecond)
				g.mu.Lock()
				inFlight := 0
				for _, l := range g.queues {
					inFlight += l.pacer.InFlight()
				}
				g.mu.Unlock()
				most = max(most, inFlight)
			}
		})
		all.Wait()
		if !g.paceLimits() {
			t.Error("the pace is not told to be what limits")
		}
		if most > 5 {
			t.Errorf("%d requests in flight at a pace of ten bodies per second", most)
		}
		a, _ := by["a"].within(time.Second, 19*time.Second)
		b, _ := by["b"].within(time.Second, 19*time.Second)
		if a < 0.9*b || b < 0.9*a {
			t.Errorf("%.1f MB/s on one prefix and %.1f MB/s on the other", a/1e6, b/1e6)
		}
	})
}

// A pace that nobody reaches is not what limits, nor is none.
func TestAPaceThatIsNotUsedDoesNotLimit(t *testing.T) {
	for _, pace := range []Pace{{}, {Requests: 1000, Bytes: 1e9}} {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate()
			g.Pace(pace)
			g.Set(Grant{}, []PrefixLimit{{Prefix: "a", Window: 10}})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			none := &passLog{passed: map[int]int{}, begun: time.Now()}
			sends(ctx, g, "a", func() int { return 1000 }, 100*time.Millisecond, none, none)
			if g.paceLimits() {
				t.Errorf("%+v limits ten requests per second", pace)
			}
		})
	}
}

// What waits to pass ends with its context.
func TestPassEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Pace(Pace{Bytes: 1})
		if n := g.Pass(t.Context(), 1<<20); n == 0 {
			t.Error("the first piece does not pass")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n := g.Pass(ctx, 1<<20); n != 0 {
			t.Errorf("%d bytes passed at one per second", n)
		}
	})
}
