//go:build e2e

package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/cluster/sandbox"
)

// Faults follow one another after between leastGap and mostGap.
const leastGap, mostGap = 4 * time.Second, 12 * time.Second

// errNothing is the error of a fault that found nothing to hit.
var errNothing = errors.New("there is none")

// fault is a kind of fault. Of two at the same place the second waits.
type fault struct {
	kind  string
	least time.Duration // how long it lasts
	most  time.Duration
	place string // a node where it is empty
	begin func(ctx context.Context, node string, pick int) error
	end   func(ctx context.Context, node string) error
}

// faults are all kinds of faults.
func (r *run) faults() []fault {
	c := r.Cluster
	outage := func(kind, process string, most time.Duration) fault {
		return fault{kind: kind, place: process, least: time.Second, most: most,
			begin: func(ctx context.Context, _ string, _ int) error { return c.Stop(ctx, process) },
			end:   func(context.Context, string) error { return c.Start(process) }}
	}
	partition := func(from string) fault {
		return fault{kind: "partition from " + from, least: 5 * time.Second, most: 60 * time.Second, end: c.Heal,
			begin: func(ctx context.Context, node string, _ int) error { return c.Partition(ctx, node, from) }}
	}
	return []fault{
		{kind: "worker killed", place: "workers", begin: r.killWorker},
		{kind: "worker killed", place: "workers", begin: r.killWorker},
		{kind: "worker deleted", place: "workers", begin: r.deleteWorker},
		{kind: "leader killed", place: "leader", begin: r.killLeader},
		{kind: "kubelet killed", begin: func(ctx context.Context, node string, _ int) error { return c.Kill(ctx, node+"-kubelet") }},
		{kind: "kubelet stopped", least: 5 * time.Second, most: 60 * time.Second,
			begin: func(ctx context.Context, node string, _ int) error { return c.Stop(ctx, node+"-kubelet") },
			end:   func(_ context.Context, node string) error { return c.Start(node + "-kubelet") }},
		outage("etcd killed", "etcd", 15*time.Second),
		outage("API server killed", "kube-apiserver", 15*time.Second),
		outage("S3 server killed", "versitygw", 15*time.Second),
		partition(sandbox.FromAPI),
		partition(sandbox.FromS3),
		{kind: "disk filled", least: 10 * time.Second, most: 40 * time.Second, end: c.Heal,
			begin: func(_ context.Context, node string, _ int) error { return c.Fill(node) }},
	}
}

// breakThings injects faults until a time. Each kind comes once before any comes again.
func (r *run) breakThings(ctx context.Context, faults []fault, until time.Time) {
	places := map[string]*sync.Mutex{}
	for _, name := range r.Cluster.Nodes {
		places[name] = &sync.Mutex{}
	}
	for _, f := range faults {
		places[f.place] = &sync.Mutex{}
	}
	var under sync.WaitGroup
	defer under.Wait()
	var deck []fault
	for {
		time.Sleep(r.between(leastGap, mostGap))
		if !time.Now().Before(until) {
			return
		}
		if len(deck) == 0 {
			deck = slices.Clone(faults)
			r.random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		f := deck[0]
		deck = deck[1:]
		node := r.Cluster.Nodes[r.random.IntN(len(r.Cluster.Nodes))]
		pick, lasts := r.random.IntN(1<<30), r.between(f.least, f.most)
		place := places[f.place]
		if f.place == "" {
			place = places[node]
		}
		under.Go(func() {
			place.Lock()
			defer place.Unlock()
			r.inject(ctx, f, node, pick, lasts)
		})
	}
}

func (r *run) between(least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(r.random.Int64N(int64(most-least)))
}

// inject lets one fault begin, last and end.
func (r *run) inject(ctx context.Context, f fault, node string, pick int, lasts time.Duration) {
	where := f.kind
	if f.place == "" {
		where += " at " + node
	}
	if err := bounded(ctx, func(ctx context.Context) error { return f.begin(ctx, node, pick) }); err != nil {
		r.tell("%s: not done: %v", where, err)
		r.mu.Lock()
		r.missed++
		r.mu.Unlock()
		return
	}
	r.mu.Lock()
	r.injected[f.kind]++
	r.mu.Unlock()
	if f.end == nil {
		r.tell("%s", where)
		return
	}
	r.tell("%s for %.0f s", where, lasts.Seconds())
	time.Sleep(lasts)
	if err := f.end(ctx, node); err != nil {
		r.t.Errorf("end of %s: %v", where, err)
	}
}

// worker is a worker that runs.
func (r *run) worker(ctx context.Context, pick int) (*corev1.Pod, error) {
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleWorker}); err != nil {
		return nil, err
	}
	running := slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return p.Status.Phase != corev1.PodRunning || p.DeletionTimestamp != nil
	})
	if len(running) == 0 {
		return nil, fmt.Errorf("find a worker: %w", errNothing)
	}
	return &running[pick%len(running)], nil
}

func (r *run) killWorker(ctx context.Context, _ string, pick int) error {
	pod, err := r.worker(ctx, pick)
	if err != nil {
		return err
	}
	return r.Cluster.KillPod(string(pod.UID))
}

func (r *run) deleteWorker(ctx context.Context, _ string, pick int) error {
	pod, err := r.worker(ctx, pick)
	if err != nil {
		return err
	}
	return r.Client.Delete(ctx, pod)
}

// killLeader kills the manager that leads.
func (r *run) killLeader(ctx context.Context, _ string, _ int) error {
	leader, err := r.Leader(ctx)
	if err != nil {
		return err
	}
	return r.Cluster.KillPod(string(leader.UID))
}
