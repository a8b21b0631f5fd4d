package upload

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"cargoship.dev/operator/internal/s3"
)

func TestQuantilesAreWithinAHundredth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour/time.Microsecond)), 1, 200).Draw(t, "microseconds")
		q := rapid.SampledFrom([]float64{0.5, 0.99}).Draw(t, "quantile")
		h := newHistogram()
		for _, v := range values {
			h.add(time.Duration(v) * time.Microsecond)
		}
		slices.Sort(values)
		want := values[max(int(q*float64(len(values))+0.5), 1)-1]
		got := h.quantile(q).Microseconds()
		if math.Abs(float64(got-want)) > max(float64(want)/100, 1) {
			t.Fatalf("quantile(%v) = %d, want %d", q, got, want)
		}
	})
}

func TestHistogramTakesAnyDuration(t *testing.T) {
	for _, d := range []time.Duration{math.MinInt64, -1, 0, math.MaxInt64} {
		h := newHistogram()
		h.add(d)
		if h.count() != 1 || h.quantile(0.5) < 0 {
			t.Errorf("after %v: count %d, median %v", d, h.count(), h.quantile(0.5))
		}
	}
}

func TestMeterCountsAndMeasures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Set(Grant{}, []PrefixLimit{{Prefix: "a", Window: 2}, {Prefix: "b", Window: 10}})
		m := NewMeter(g)
		first, second := m.begin("a", Grant{}), m.begin("a", Grant{})
		time.Sleep(64 * time.Millisecond)
		first.accepted(1000, 32*time.Millisecond, true)
		second.failed(s3.Throttled)
		other := m.begin("b", Grant{})
		time.Sleep(time.Second)
		other.accepted(0, 5*time.Second, false)
		m.begin("b", Grant{}).failed(s3.Transient)
		running := m.begin("b", Grant{})

		want := []PrefixStats{{
			Prefix: "a", Started: 2, Accepted: 1, Throttled: 1, Bytes: 1000, Busy: 128 * time.Millisecond,
			MaxInFlight: 2, AttemptP50: 64 * time.Millisecond, ServiceP50: 32 * time.Millisecond,
			ServiceP99: 32 * time.Millisecond, Measured: 1, LimitedBy: ByWindow,
			Newest: Sample{Started: 2, Accepted: 1, Throttled: 1},
		}, {
			Prefix: "b", Started: 3, Accepted: 1, Failed: 1, Busy: time.Second, MaxInFlight: 1, LimitedBy: BySource,
			Newest: Sample{Started: 3, Accepted: 1, Failed: 1},
		}}
		rounded := cmp.Transformer("rounded", func(d time.Duration) time.Duration { return d.Round(time.Millisecond) })
		if diff := cmp.Diff(want, m.Snapshot(0), rounded); diff != "" {
			t.Errorf("Snapshot (-want +got):\n%s", diff)
		}

		// The counters go on; the measurements begin again, with what is in flight.
		want = []PrefixStats{
			{Prefix: "a", Started: 2, Accepted: 1, Throttled: 1, Bytes: 1000, Busy: 128 * time.Millisecond, LimitedBy: BySource,
				Newest: Sample{Started: 2, Accepted: 1, Throttled: 1}},
			{Prefix: "b", Started: 3, Accepted: 1, Failed: 1, Busy: time.Second, MaxInFlight: 1, LimitedBy: BySource,
				Newest: Sample{Started: 3, Accepted: 1, Failed: 1}},
		}
		if diff := cmp.Diff(want, m.Snapshot(0), rounded); diff != "" {
			t.Errorf("second Snapshot (-want +got):\n%s", diff)
		}
		running.failed(s3.Transient)
	})
}

// A snapshot that is replaced before anybody can have read it is not lost: a few late
// requests shall not stand for the many of before.
func TestMeterRepeatsWhatMayNotHaveBeenRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMeter(NewGate())
		request := func(took time.Duration) {
			r := m.begin("a", Grant{})
			time.Sleep(took)
			r.accepted(1, took/2, true)
		}
		read := func(after time.Duration) (measured int64, median time.Duration) {
			time.Sleep(after)
			s := m.Snapshot(time.Second)[0]
			return s.Measured, s.AttemptP50.Round(10 * time.Millisecond)
		}
		for range 9 {
			request(100 * time.Millisecond)
		}
		if n, median := read(0); n != 9 || median != 100*time.Millisecond {
			t.Errorf("first: %v of %d", median, n)
		}
		request(500 * time.Millisecond)
		if n, median := read(0); n != 10 || median != 100*time.Millisecond {
			t.Errorf("half a second later: %v of %d, want the median of all ten", median, n)
		}
		if n, median := read(500 * time.Millisecond); n != 1 || median != 500*time.Millisecond {
			t.Errorf("a second after the first: %v of %d, want the late one only", median, n)
		}
		if n, median := read(time.Second); n != 0 || median != 0 {
			t.Errorf("at last: %v of %d, want none", median, n)
		}
		// When snapshots come sooner than before, they are read sooner.
		request(100 * time.Millisecond)
		read(0)
		time.Sleep(200 * time.Millisecond)
		if s := m.Snapshot(100 * time.Millisecond)[0]; s.Measured != 0 {
			t.Errorf("%d measured, want none: what was shown was read by now", s.Measured)
		}
		for range 3 * maxShown {
			request(time.Millisecond)
			if n, _ := read(time.Millisecond); n == 0 {
				t.Fatal("nothing measured")
			}
		}
		if shown := len(m.prefixes["a"].shown); shown > maxShown {
			t.Errorf("%d intervals kept", shown)
		}
		if n, _ := read(time.Millisecond); n != 3*maxShown {
			t.Errorf("%d measured, want %d: none is lost where intervals are many", n, 3*maxShown)
		}
	})
}

func TestMeterTellsWhatLimitsTheSender(t *testing.T) {
	for _, c := range []struct {
		name     string
		limit    PrefixLimit
		inFlight int
		started  int
		want     Bottleneck
	}{
		{"the window", PrefixLimit{Window: 10}, 8, 8, ByWindow},
		{"too little to send", PrefixLimit{Window: 10}, 7, 7, BySource},
		{"the rate", PrefixLimit{Window: 10, Rate: 100}, 1, 80, ByRate},
		{"too little for either", PrefixLimit{Window: 10, Rate: 100}, 7, 79, BySource},
		{"the window, below the rate", PrefixLimit{Window: 10, Rate: 100}, 9, 9, ByWindow},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewGate()
				c.limit.Prefix = "prefix"
				g.Set(Grant{}, []PrefixLimit{c.limit})
				m := NewMeter(g)
				for range c.started - c.inFlight {
					m.begin("prefix", Grant{}).accepted(1, 0, true)
				}
				for range c.inFlight {
					m.begin("prefix", Grant{})
				}
				time.Sleep(time.Second)
				if got := m.Snapshot(0)[0].LimitedBy; got != c.want {
					t.Errorf("limited by %v, want %v", got, c.want)
				}
			})
		})
	}
}

// After a cut the lower rate is what the sender is measured against.
func TestMeterAfterACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Set(Grant{}, []PrefixLimit{{Prefix: "prefix", Window: 100, Rate: 100}})
		m := NewMeter(g)
		starts(t, g, time.Second)
		for _, rate := g.limit("prefix"); rate > 55; _, rate = g.limit("prefix") {
			g.Throttled("prefix")
			time.Sleep(100 * time.Millisecond)
		}
		m.Snapshot(0)
		for range 45 {
			m.begin("prefix", Grant{}).accepted(1, 0, true)
		}
		time.Sleep(time.Second)
		if m.Snapshot(0)[0].LimitedBy == BySource {
			t.Error("a sender that used 45 of 55 per second after a cut counts as limited by itself")
		}
	})
}

// Every request counts under the grant whose limits it started under, whenever it ends.
func TestMeterTellsGrantsApart(t *testing.T) {
	g := NewGate()
	m := NewMeter(g)
	limits := []PrefixLimit{{Prefix: "a", Window: 10}}
	start := func() measurement {
		release, from, err := g.Acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		release()
		return m.begin("a", from)
	}
	check := func(newest, before Sample) {
		t.Helper()
		s := m.Snapshot(0)[0]
		if diff := cmp.Diff([]Sample{newest, before}, []Sample{s.Newest, s.Before}); diff != "" {
			t.Errorf("samples (-want +got):\n%s", diff)
		}
	}
	first, second, third := Grant{1, 1}, Grant{1, 4}, Grant{2, 1}
	g.Set(first, limits)
	a, b, c := start(), start(), start()
	a.failed(s3.Throttled)
	check(Sample{Grant: first, Started: 3, Throttled: 1}, Sample{})
	g.Set(second, limits)
	check(Sample{Grant: second}, Sample{Grant: first, Started: 3, Throttled: 1})
	d := start()
	b.accepted(1, 0, true)
	d.failed(s3.Transient)
	check(Sample{Grant: second, Started: 1, Failed: 1}, Sample{Grant: first, Started: 3, Accepted: 1, Throttled: 1})
	g.Set(third, limits)
	c.accepted(1, 0, true) // of neither any more once the third has begun
	e := start()
	check(Sample{Grant: third, Started: 1}, Sample{Grant: second, Started: 1, Failed: 1})
	a = m.begin("a", second) // let through before the third grant, begun after it
	check(Sample{Grant: third, Started: 1}, Sample{Grant: second, Started: 2, Failed: 1})
	a.accepted(1, 0, true)
	e.accepted(1, 0, true)
	if s := m.Snapshot(0)[0]; s.Started != 6 || s.Accepted != 4 || s.Throttled != 1 || s.Failed != 1 {
		t.Errorf("in all %+v", s)
	}
}

// A request that waits starts under the grant that lets it through.
func TestGateNamesTheGrantThatLetsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Set(Grant{1, 1}, []PrefixLimit{{Prefix: "a", Window: 0}})
		var from Grant
		go func() { _, from, _ = g.Acquire(t.Context(), "a") }()
		synctest.Wait()
		g.Set(Grant{1, 2}, []PrefixLimit{{Prefix: "a", Window: 1}})
		synctest.Wait()
		if want := (Grant{1, 2}); from != want {
			t.Errorf("started under %v, want %v", from, want)
		}
	})
}
