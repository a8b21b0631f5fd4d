//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/lab"
)

const (
	// lookEvery is the time between two looks at the lab, and at the leases.
	lookEvery = 250 * time.Millisecond
	// ending is how long requests may take to end that were in flight when a grant shrank.
	ending = 2 * time.Second
)

// watch is what was seen of a transfer behind a lab: what came there, and what its leases allowed.
type watch struct {
	head      figures.Head
	optimum   float64 // in bytes of files per second
	front     *front
	namespace string

	mu     sync.Mutex
	seen   []interval
	grants map[string][]*granted // by lease, in order
	last   time.Time             // when the last look at the leases began
	gone   time.Time             // when the API server was stopped, zero if it was not
}

// interval is what the lab has seen from one look to the next.
type interval struct {
	from, to time.Time
	lab.Stats
}

// granted is a grant of a worker.
type granted struct {
	epoch, sequence int64
	// window is how many requests it allows in flight, coasting as many when nobody renews it, lease how long it
	// holds.
	window, coasting int64
	lease            time.Duration
	// from and until bound the time in which the API held it, until being zero for the newest; left is when its
	// worker was known to act on a later one, zero if it was not.
	from, until, left time.Time
}

// keepWatch looks until the spec ends.
func keepWatch(f *front, namespace string) *watch {
	w := &watch{head: figures.NewHead(), front: f, namespace: namespace, grants: map[string][]*granted{}}
	ctx, stop := context.WithCancel(context.Background())
	var looking sync.WaitGroup
	DeferCleanup(func() {
		stop()
		looking.Wait()
	})
	looking.Go(func() { w.every(ctx, w.lookAtLab) })
	looking.Go(func() { w.every(ctx, w.lookAtLeases) })
	return w
}

func (w *watch) every(ctx context.Context, look func(context.Context)) {
	for ticker := time.NewTicker(lookEvery); ; {
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
			look(ctx)
		}
	}
}

func (w *watch) lookAtLab(ctx context.Context) {
	stats, err := w.front.reset(ctx)
	if err != nil {
		return // only at the end
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.seen = append(w.seen, interval{now.Add(-time.Duration(stats.Seconds * float64(time.Second))), now, stats})
}

func (w *watch) lookAtLeases(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 20*lookEvery)
	defer cancel()
	begun := time.Now()
	var leases v1alpha1.PrefixLeaseList
	if err := it.Client.List(ctx, &leases, client.InNamespace(w.namespace)); err != nil {
		return // The API server may be away.
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, lease := range leases.Items {
		w.take(lease, time.Now())
	}
	w.last = begun
}

// take takes in a lease that the API held now.
func (w *watch) take(lease v1alpha1.PrefixLease, now time.Time) {
	all := w.grants[lease.Name]
	newest := &granted{epoch: lease.Spec.Epoch, sequence: lease.Spec.Sequence, lease: lease.Spec.LeaseDuration.Duration, from: w.last}
	for _, p := range lease.Spec.Prefixes {
		newest.window += int64(ptr.Deref(p.Window, 0))
	}
	newest.coasting = max(newest.window, int64(lease.Spec.CoastingWindow))
	switch {
	case len(all) == 0:
		all = append(all, newest)
	case all[len(all)-1].before(newest.epoch, newest.sequence):
		all[len(all)-1].until = now
		all = append(all, newest)
	}
	for _, g := range all {
		if g.left.IsZero() && g.before(ptr.Deref(lease.Status.ObservedEpoch, 0), ptr.Deref(lease.Status.ObservedSequence, 0)) {
			g.left = now
		}
	}
	w.grants[lease.Name] = all
}

func (g *granted) before(epoch, sequence int64) bool {
	return g.epoch < epoch || g.epoch == epoch && g.sequence < sequence
}

// allows is the most that its worker might have in flight under the grant at some time of an interval: all of it
// while the API held it within the last lease duration; then half, as the worker may be cut off; nothing once it acts on a
// later one.
func (g *granted) allows(from, to, gone time.Time) int64 {
	until := g.until
	if until.IsZero() {
		until = gone
	}
	window := g.window
	if to.After(g.from.Add(g.lease)) {
		window = g.coasting
	}
	switch {
	case to.Before(g.from), !g.left.IsZero() && from.After(g.left.Add(ending)):
		return 0
	case !until.IsZero() && from.After(until.Add(g.lease+ending)):
		return max(window/2, min(window, 1))
	}
	return window
}

// allowed is the most that all workers might have in flight at some time of an interval.
func (w *watch) allowed(from, to time.Time) (sum int64) {
	for _, all := range w.grants {
		most := int64(0)
		for _, g := range all {
			most = max(most, g.allows(from, to, w.gone))
		}
		sum += most
	}
	return sum
}

// between are the intervals of a time.
func (w *watch) between(from, to time.Time) []interval {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.seen), func(i interval) bool { return i.from.Before(from) || i.to.After(to) })
}

// part is the partition of that name, or what all of them have seen.
func (i interval) part(name string) lab.PartitionStats {
	if name == "" {
		return i.Total
	}
	for _, p := range i.Partitions {
		if p.Name == name {
			return p
		}
	}
	return lab.PartitionStats{}
}

// phase is what came to the lab for a while.
type phase struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	// Stored are bytes that the server has accepted.
	Stored    int64 `json:"stored"`
	Requests  int64 `json:"requests"`
	Throttled int64 `json:"throttled"`
	// Service is the median time, in seconds, from the end of a request to its answer.
	Service float64 `json:"service"`
	// InFlight is the most that was in flight at once, Allowed the least that the leases allowed at any time.
	InFlight int64 `json:"inFlight"`
	Allowed  int64 `json:"allowed"`
	// Over is the most that was in flight beyond what the leases allowed at the time, 0 for never.
	Over int64 `json:"over"`

	from, to time.Time
}

// measure sums a time, of one partition.
func (w *watch) measure(name, partition string, from, to time.Time) phase {
	p := phase{Name: name, Allowed: math.MaxInt64, from: from, to: to}
	var service []float64
	for _, i := range w.between(from, to) {
		of := i.part(partition)
		if of.P50 > 0 {
			service = append(service, of.P50)
		}
		p.Seconds += i.Seconds
		p.Stored += of.AcceptedBytesIn
		p.Requests += of.Requests
		p.Throttled += of.Throttled
		w.mu.Lock()
		allowed := w.allowed(i.from, i.to)
		w.mu.Unlock()
		if over := of.MostInFlight - allowed; over > 0 {
			GinkgoWriter.Printf("%s, after %.1f s: %d in flight, %d allowed\n", name, i.from.Sub(from).Seconds(), of.MostInFlight, allowed)
		}
		p.InFlight, p.Allowed, p.Over = max(p.InFlight, of.MostInFlight), min(p.Allowed, allowed), max(p.Over, of.MostInFlight-allowed)
	}
	p.Service = figures.NewSpread(service).Median
	return p
}

func (p phase) perSecond() float64      { return float64(p.Stored) / max(p.Seconds, 1e-9) }
func (p phase) throttledShare() float64 { return float64(p.Throttled) / float64(max(p.Requests, 1)) }

// String implements fmt.Stringer.
func (p phase) String() string {
	return fmt.Sprintf("%-34s %4.0f s: %.2f MB/s, %.2f %% of %d requests throttled, answered in %.0f ms, at most %d in flight, of %d or more allowed, %d beyond that of the moment",
		p.Name, p.Seconds, p.perSecond()/1e6, 100*p.throttledShare(), p.Requests, 1e3*p.Service, p.InFlight, p.Allowed, p.Over)
}
