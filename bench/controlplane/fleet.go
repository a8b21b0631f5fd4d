package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"cargoship.dev/operator/internal/worker"
)

// startSpread is within how long all containers of a fleet start.
const startSpread = time.Second

// fleet is the puppets of all pods, each with the worker's own agent and connection.
type fleet struct {
	path *path
	stop context.CancelFunc
	work sync.WaitGroup
	// lost counts agents that have ended before they were stopped.
	lost atomic.Int64

	mu      sync.Mutex
	puppets []*puppet
}

func startFleet(server *rest.Config, pods []startedPod) *fleet {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fleet{path: newPath(len(pods)), stop: cancel}
	for _, p := range pods {
		f.work.Go(func() {
			time.Sleep(rand.N(startSpread))
			if err := f.serve(ctx, server, p); err != nil && ctx.Err() == nil {
				f.lost.Add(1)
			}
		})
	}
	return f
}

// serve is what `worker run` does in a pod.
func (f *fleet) serve(ctx context.Context, server *rest.Config, pod startedPod) error {
	client, err := worker.NewLeaseClient(actAs(server, pod.token), types.NamespacedName{Namespace: namespace, Name: pod.name})
	if err != nil {
		return err
	}
	leases, instance := &counted{Leases: client}, pod.uid // one process a pod
	err = worker.NewAgent(worker.AgentOptions{
		Leases: leases, PodUID: types.UID(pod.uid), Instance: instance,
		NewEngine: func(_ context.Context, after int64, _ bool) (worker.Sender, error) {
			p := newPuppet(f.path, plan(), leases, instance, after)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.puppets = append(f.puppets, p)
			return p, nil
		},
	}).Run(ctx)
	if errors.Is(err, worker.ErrTerminated) && ctx.Err() != nil {
		return nil
	}
	return err
}

// state is how many puppets hold leases, what part of the path's capacity these allow, and
// how often the puppets report.
func (f *fleet) state() (held int, allowed float64, interval time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for _, p := range f.puppets {
		if h, a, i := p.state(now); h {
			held, allowed, interval = held+1, allowed+a, max(interval, i)
		}
	}
	return held, allowed / f.path.capacity, interval
}

// untilLeased is what the puppets with a lease asked until they had it, on average.
func (f *fleet) untilLeased() asks {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all asks
	n := 0
	for _, p := range f.puppets {
		p.mu.Lock()
		if p.untilLeased != nil {
			all, n = all.plus(*p.untilLeased), n+1
		}
		p.mu.Unlock()
	}
	return all.over(n)
}

func (f *fleet) end() {
	f.stop()
	f.work.Wait()
}
