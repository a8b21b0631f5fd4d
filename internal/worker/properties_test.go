package worker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/lease"
)

// step is what happens in a run of the property test.
type step struct {
	// Pass is how long nothing happens before.
	Pass time.Duration
	// Window is granted on Prefix with the archives of First to First+Count-1.
	Prefix       string
	Window       int32
	First, Count int64
	// LoseReport and LoseGrant: what is sent does not arrive. Stale: an earlier
	// grant arrives once more.
	LoseReport, LoseGrant, Stale bool
}

func drawStep(t *rapid.T) step {
	return step{
		Pass:       time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond,
		Prefix:     rapid.SampledFrom([]string{"a", "b"}).Draw(t, "prefix"),
		Window:     rapid.Int32Range(0, 4).Draw(t, "window"),
		First:      rapid.Int64Range(0, 8).Draw(t, "first"),
		Count:      rapid.Int64Range(0, 6).Draw(t, "count"),
		LoseReport: rapid.Bool().Draw(t, "lose report"),
		LoseGrant:  rapid.Bool().Draw(t, "lose grant"),
		Stale:      rapid.Bool().Draw(t, "stale"),
	}
}

// Whatever is granted, withdrawn, lost or repeated: a report that acknowledges a
// grant is true, after expiry the floor is kept, and every archive granted for long
// enough ends and is reported.
func TestEngineProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 25).Draw(rt, "steps")
		linger := time.Duration(rapid.IntRange(0, 2000).Draw(rt, "linger ms")) * time.Millisecond
		var broken string
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.dest.linger = linger
			b.run()
			broken = live(b, steps)
			b.end()
		})
		if broken != "" {
			rt.Fatal(broken)
		}
	})
}

// live takes a bench through the steps and then grants everything for a while. It
// returns what was wrong.
func live(b *bench, steps []step) string {
	var granted []v1alpha1.PrefixLeaseSpec
	counted := map[string]int{}
	for _, s := range steps {
		after(s.Pass)
		b.on(s.Prefix, s.Window, span(s.First, s.Count)...)
		if wrong := b.exchange(s, &granted, counted); wrong != "" {
			return wrong
		}
	}
	b.on("a", 3, span(0, 14)...)
	b.on("b", 3, span(0, 14)...)
	for range 15 {
		if wrong := b.exchange(step{}, &granted, counted); wrong != "" {
			return wrong
		}
		after(time.Second)
	}
	for _, prefix := range []string{"a", "b"} {
		for n := range int64(14) {
			if counted[archiveName(prefix, n)] == 0 {
				return fmt.Sprintf("archive %d of %s was never reported", n, prefix)
			}
		}
	}
	return ""
}

// exchange sends a report and a grant, some of which may be lost.
func (b *bench) exchange(s step, granted *[]v1alpha1.PrefixLeaseSpec, counted map[string]int) string {
	if wrong := b.floorKept(); wrong != "" {
		return wrong
	}
	r := b.Report()
	if *r.ObservedEpoch == b.grantTaken().Epoch && *r.ObservedSequence == b.grantTaken().Sequence {
		if wrong := b.truthful(b.grantTaken()); wrong != "" {
			return wrong
		}
	}
	if !s.LoseReport {
		for _, f := range r.Finished {
			counted[archiveName(f.Prefix, *f.Number)]++
		}
		b.acknowledge(r)
	}
	b.grant.Sequence++
	*granted = append(*granted, *b.grant.DeepCopy())
	if !s.LoseGrant {
		b.Apply(*b.grant.DeepCopy())
	}
	if s.Stale {
		b.Apply((*granted)[0])
	}
	synctest.Wait()
	return ""
}

// grantTaken is the newest grant that has arrived.
func (b *bench) grantTaken() v1alpha1.PrefixLeaseSpec {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Engine.grant
}

// truthful says that what is in flight is granted, or the floor.
func (b *bench) truthful(g v1alpha1.PrefixLeaseSpec) string {
	allowed, windows := map[string]bool{}, map[string]int{}
	for _, p := range g.Prefixes {
		windows[p.Name] = int(*p.Window)
		for _, a := range p.Archives {
			allowed[archiveName(p.Name, *a.Number)] = true
		}
	}
	per := map[string]int{}
	expired := b.expired()
	b.dest.mu.Lock()
	defer b.dest.mu.Unlock()
	for key, n := range b.dest.flying {
		name := strings.TrimPrefix(key[:strings.LastIndex(key, "/")], "base/")
		prefix, _, _ := strings.Cut(name, "/")
		per[prefix] += n
		if n > 0 && !allowed[name] {
			return fmt.Sprintf("acknowledged a grant without %s, which is in flight", name)
		}
	}
	for prefix, n := range per {
		if n > windows[prefix] && !expired {
			return fmt.Sprintf("acknowledged a window of %d on %s with %d in flight", windows[prefix], prefix, n)
		}
	}
	return ""
}

// floorKept says that long after expiry one request at most is in flight.
func (b *bench) floorKept() string {
	b.mu.Lock()
	end := b.Engine.lease.End()
	b.mu.Unlock()
	b.dest.mu.Lock()
	defer b.dest.mu.Unlock()
	if b.grant.Sequence > 0 && time.Since(end) > testUpload && b.dest.lingering == 0 && b.dest.inFlight > 1 {
		return fmt.Sprintf("%d in flight %s after expiry", b.dest.inFlight, time.Since(end))
	}
	return ""
}

func (b *bench) expired() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Engine.lease.Phase(time.Now()) == lease.Expired
}

func span(first, count int64) []int64 {
	list := make([]int64, count)
	for i := range list {
		list[i] = first + int64(i)
	}
	return list
}
