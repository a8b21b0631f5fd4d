//go:build e2e

package chaos

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"cargoship.dev/operator/test/cluster/release"
)

var (
	seed    = flag.Uint64("seed", 1, "what the faults and the data are drawn from")
	minutes = flag.Float64("minutes", 10, "how long to break things, after shares are compared")
)

const (
	// rate is what a node may send, so that transfers last long enough to be disturbed.
	rate = "40mbit"
	// patience is how long a transfer may take to end when nothing is broken any more. A
	// manager that has died often waits up to five minutes for its next start.
	patience = 15 * time.Minute
	// look is the time between two looks at something awaited.
	look = time.Second
)

// run is one run of the test.
type run struct {
	*release.Deployment
	t      *testing.T
	began  time.Time
	random *rand.Rand

	mu       sync.Mutex
	injected map[string]int
	missed   int
}

// TestChaos is the whole test.
func TestChaos(t *testing.T) {
	log.SetLogger(logr.Discard())
	ctx := t.Context()
	l, err := release.Open(ctx, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{Deployment: l, t: t, began: time.Now(), injected: map[string]int{},
		random: rand.New(rand.NewPCG(*seed, 0))}
	defer r.heal()
	r.must(l.Cluster.HealAll(ctx))
	r.must(l.Cluster.Load(ctx, l.Root, "local"))
	r.must(l.Install(ctx, "local"))
	streams := r.furnish(ctx)
	before, err := l.Cluster.S3Received(ctx)
	r.must(err)
	for _, node := range l.Cluster.Nodes {
		r.must(l.Cluster.Shape(ctx, node, rate))
	}

	h := r.furnishHostile(ctx, streams)
	r.began = time.Now()
	over := make(chan struct{})
	var moving sync.WaitGroup
	for _, s := range streams {
		moving.Go(func() { r.stream(ctx, s, over) })
	}
	pause(ctx, warmUp)
	r.compareShares(ctx, h)
	r.breakAll(ctx, h, time.Now().Add(time.Duration(*minutes*float64(time.Minute))))
	close(over)
	r.heal()
	r.awaitNodes(ctx)
	r.tell("all is healed; waiting for the transfers to end")
	moving.Wait()

	after, err := l.Cluster.S3Received(ctx)
	r.must(err)
	h.judge(ctx)
	r.conclude(ctx, streams, after-before)
	r.must(h.remove(ctx))
}

// breakAll injects faults until a time, beside the hostile tenant, whose transfers are
// then deleted.
func (r *run) breakAll(ctx context.Context, h *hostile, until time.Time) {
	attack, stop := context.WithCancel(ctx)
	var attacking sync.WaitGroup
	attacking.Go(func() { h.attack(attack) })
	r.breakThings(ctx, append(r.faults(), h.faults()...), until)
	stop()
	attacking.Wait()
}

// heal undoes every fault, also when the test has been ended.
func (r *run) heal() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	errs := []error{r.Cluster.HealAll(ctx)}
	for _, node := range r.Cluster.Nodes {
		errs = append(errs, r.Cluster.Shape(ctx, node, ""))
	}
	for _, err := range errs {
		if err != nil {
			r.t.Errorf("heal the cluster: %v", err)
		}
	}
}

// awaitNodes waits until the API server answers and says that every node is ready.
func (r *run) awaitNodes(ctx context.Context) {
	r.t.Helper()
	err := r.await(ctx, 3*time.Minute, func(ctx context.Context) error {
		var nodes corev1.NodeList
		if err := r.Client.List(ctx, &nodes); err != nil {
			return err
		}
		for _, node := range nodes.Items {
			for _, c := range node.Status.Conditions {
				if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
					return fmt.Errorf("node %s is not ready: %s", node.Name, c.Message)
				}
			}
		}
		return nil
	})
	r.must(err)
}

// await calls a function until it returns no error.
func (r *run) await(ctx context.Context, most time.Duration, f func(context.Context) error) error {
	for deadline := time.Now().Add(most); ; time.Sleep(look) {
		err := bounded(ctx, f)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

// awaitAfter does the same until patience has passed after over is closed.
func (r *run) awaitAfter(ctx context.Context, over <-chan struct{}, f func(context.Context) error) error {
	for {
		select {
		case <-over:
			return r.await(ctx, patience, f)
		default:
		}
		if err := bounded(ctx, f); err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, look)
	}
}

// bounded calls a function with little time: a broken cluster may never answer.
func bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return f(ctx)
}

func (r *run) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// tell says what goes on, with the time since faults began.
func (r *run) tell(format string, args ...any) {
	fmt.Printf("%6.1f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// conclude checks what the transfers have left and says what was seen.
func (r *run) conclude(ctx context.Context, streams []*stream, received int64) {
	var total sum
	for _, s := range streams {
		total.add(r.check(ctx, s))
	}
	stored := r.stored(ctx, streams)
	faults := 0
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(r.injected)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, r.injected[kind]))
		faults += r.injected[kind]
	}
	fmt.Printf("\nseed %d, %g minutes\nfaults injected: %d (%s); %d found nothing to hit\n", *seed, *minutes, faults, strings.Join(kinds, ", "), r.missed)
	fmt.Printf("archives verified: %d, of %d transfers; %d files, %s\n", total.archives, total.transfers, total.files, mebibytes(total.bytes))
	fmt.Printf("bytes resent: %s (%s came to the S3 server, headers included; %s stand there)\n",
		mebibytes(received-stored), mebibytes(received), mebibytes(stored))
	if total.transfers == 0 || faults == 0 {
		r.t.Errorf("%d transfers and %d faults show nothing", total.transfers, faults)
	}
	if !r.t.Failed() {
		r.clear(ctx, streams)
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// write fills a file with bytes that nothing compresses.
func write(path string, random *rand.Rand, size int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var key [32]byte
	for i := range key {
		key[i] = byte(random.Uint32())
	}
	content := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(content)
	return os.WriteFile(path, content, 0o644)
}
