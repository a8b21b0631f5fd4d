package baseline

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// path is a deterministic destination for one client: a link that serves in turn
// behind a policer, with a constant service time.
type path struct {
	// bandwidth of the link in bytes per second, 0: unlimited.
	bandwidth float64
	// policed is the rate at which requests are accepted, 0: any; a tenth of a second
	// of it may come at once.
	policed float64
	// service is how long an accepted request takes beside the link's time.
	service time.Duration
	// change alters the path at the start of each millisecond, if set.
	change func(p *path, since time.Duration)

	tokens float64
	busy   time.Time
}

// refusal is how long a 503 takes.
const refusal = 25 * time.Millisecond

// arrive gives when and how a request ends.
func (p *path) arrive(now time.Time, size int64) (time.Time, Outcome) {
	if p.policed > 0 {
		if p.tokens < 1 {
			return now.Add(refusal), Throttled
		}
		p.tokens--
	}
	end := now
	if p.bandwidth > 0 {
		if p.busy.Before(now) {
			p.busy = now
		}
		p.busy = p.busy.Add(time.Duration(float64(size) / p.bandwidth * float64(time.Second)))
		end = p.busy
	}
	return end.Add(p.service), Accepted
}

// second is what a client did in one second.
type second struct {
	window, lowest, highest     int     // at its end, and in it
	rate                        float64 // at its end
	accepted, throttled, longer int     // requests; longer: that took over a second
}

type request struct {
	result Result
	end    time.Time
}

// drive lets a client with endless work use the path, in steps of a millisecond, and
// returns what it did in each second.
func drive(p *path, l Limiter, size int64, seconds int) []second {
	start := time.Unix(1_000_000, 0)
	d := driver{path: p, law: l, size: size, next: start}
	p.tokens = p.policed / 10
	for ms := range seconds * 1000 {
		since := time.Duration(ms) * time.Millisecond
		if p.change != nil {
			p.change(p, since)
		}
		p.tokens = min(p.policed/10, p.tokens+p.policed/1000)
		if ms%1000 == 0 {
			d.log = append(d.log, second{lowest: math.MaxInt})
		}
		d.step(start.Add(since))
	}
	return d.log
}

type driver struct {
	path   *path
	law    Limiter
	size   int64
	next   time.Time // when the pace lets another request start
	flying []request
	ends   time.Time // when the first of them ends
	log    []second
}

func (d *driver) step(now time.Time) {
	last := &d.log[len(d.log)-1]
	if !d.ends.After(now) {
		d.finish(now, last)
	}
	for {
		window, rate := d.law.Limit(now)
		last.window, last.rate = window, rate
		last.lowest, last.highest = min(last.lowest, window), max(last.highest, window)
		if len(d.flying) >= window || rate > 0 && d.next.After(now) {
			return
		}
		if rate > 0 {
			// An idle pacer saves up to 10 ms.
			if earliest := now.Add(-10 * time.Millisecond); d.next.Before(earliest) {
				d.next = earliest
			}
			d.next = d.next.Add(time.Duration(float64(time.Second) / rate))
		}
		d.start(now)
	}
}

// finish tells the law of the requests that have ended.
func (d *driver) finish(now time.Time, last *second) {
	kept := d.flying[:0]
	for _, q := range d.flying {
		if q.end.After(now) {
			kept = append(kept, q)
			continue
		}
		switch {
		case q.result.Outcome == Throttled:
			last.throttled++
		case q.end.Sub(q.result.Started) > time.Second:
			last.longer++
			fallthrough
		default:
			last.accepted++
		}
		d.law.Done(now, q.result)
	}
	d.flying = kept
	d.ends = now.Add(time.Hour)
	for _, q := range d.flying {
		if q.end.Before(d.ends) {
			d.ends = q.end
		}
	}
}

func (d *driver) start(now time.Time) {
	d.law.Start(now, len(d.flying)+1)
	end, outcome := d.path.arrive(now, d.size)
	r := Result{Started: now, FirstByte: d.path.service, Outcome: outcome, InFlight: len(d.flying) + 1}
	if outcome == Accepted {
		r.Bytes = d.size
	} else {
		r.FirstByte = refusal
	}
	d.flying = append(d.flying, request{result: r, end: end})
	if end.Before(d.ends) {
		d.ends = end
	}
}

// newLimiter gives the named law for a client with four prefixes on a 10 Gb/s host.
func newLimiter(t *testing.T, name string) Limiter {
	t.Helper()
	for _, law := range Laws() {
		if law.Name == name {
			return law.New(Env{Workers: 1, Prefixes: 4, PartSize: mib, NIC: 1.25e9, Rand: rand.New(rand.NewPCG(1, 2))})
		}
	}
	t.Fatalf("no law is named %q", name)
	return nil
}

const mib = 1 << 20

// total sums what was done from one second to before another.
func total(log []second, from, to int) (sum second) {
	for _, s := range log[from:to] {
		sum.accepted += s.accepted
		sum.throttled += s.throttled
		sum.longer += s.longer
	}
	return sum
}
