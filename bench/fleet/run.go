package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/test/kit/product"
)

// settle is how long all may get used to a neighbor before they are measured.
const settle = 5 * time.Second

// measure does one run: the fleet while it searches, alone, and beside its neighbor.
func (r *rig) measure(ctx context.Context, s scenario) (one result, err error) {
	r.runs++
	one = result{Condition: s.condition.name, Workers: s.workers, Fleet: s.fleet.name}
	server, err := r.startLab(s.condition)
	if err != nil {
		return one, err
	}
	defer func() {
		_, stopped := server.Stop()
		err = errors.Join(err, stopped)
	}()
	begun := time.Now()
	transfers, err := r.create(ctx, s)
	defer func() { err = errors.Join(err, r.remove(transfers)) }()
	if err != nil {
		return one, err
	}
	if err := r.awaitWorkers(ctx, transfers, int(s.workers)); err != nil {
		return one, err
	}
	if one.Search, err = r.window(ctx, s.condition, transfers, r.search); err != nil {
		return one, err
	}
	if err := r.measureAlone(ctx, s, transfers, &one); err != nil {
		return one, err
	}
	n := startNeighbor(ctx, r.Store.Endpoint, r.bucket())
	defer n.stop()
	if err := pause(ctx, settle); err != nil {
		return one, err
	}
	before := n.sent()
	if one.Shared, err = r.window(ctx, s.condition, transfers, r.options.shared); err != nil {
		return one, err
	}
	one.Neighbor = n.sent().since(before, one.Shared.Seconds)
	r.spans[s.name()] = span{begun, time.Now()}
	one.Recordings, err = compare(one.Recordings, one.Alone)
	return one, err
}

// measureAlone measures a fleet by itself, and records it if it is coordinated.
func (r *rig) measureAlone(ctx context.Context, s scenario, transfers []*v1alpha1.ArchiveTransfer, one *result) error {
	recorded := func() ([]recording, error) { return nil, nil }
	if s.fleet.name == coordinated {
		recorded = r.record(ctx, transfers, r.alone)
	}
	var err error
	if one.Alone, err = r.window(ctx, s.condition, transfers, r.alone); err != nil {
		return err
	}
	one.Recordings, err = recorded()
	return err
}

// neighborAlone measures what the neighbor sends where nobody else does.
func (r *rig) neighborAlone(ctx context.Context, c condition) (one lonely, err error) {
	server, err := r.startLab(c)
	if err != nil {
		return one, err
	}
	defer func() {
		_, stopped := server.Stop()
		err = errors.Join(err, stopped)
	}()
	n := startNeighbor(ctx, r.Store.Endpoint, r.bucket())
	defer n.stop()
	if err := pause(ctx, settle); err != nil {
		return one, err
	}
	before, begun := n.sent(), time.Now()
	if err := pause(ctx, r.options.shared); err != nil {
		return one, err
	}
	return lonely{c.name, n.sent().since(before, time.Since(begun).Seconds())}, nil
}

// bucket is another for each run, so that nothing learned in one helps in the next.
func (r *rig) bucket() string { return fmt.Sprintf("run-%d", r.runs) }

// create creates the transfers of a run.
func (r *rig) create(ctx context.Context, s scenario) ([]*v1alpha1.ArchiveTransfer, error) {
	var transfers []*v1alpha1.ArchiveTransfer
	weights := weights(s.workers)
	for i, weight := range weights {
		at := r.Transfer(namespace, fmt.Sprintf("weight-%d", weight), product.Location{Bucket: r.bucket(), Prefix: base})
		at.Spec.Weight = 100 * weight
		at.Spec.Source.Path = path(i)
		at.Spec.Coordination = s.coordination()
		at.Spec.Workers.Count = s.workers / int32(len(weights))
		// Room for as many requests as any fleet may have in flight; little is used.
		at.Spec.Workers.Resources = v1alpha1.WorkerResources{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
		}
		if err := r.Client.Create(ctx, at); err != nil {
			return transfers, fmt.Errorf("create the transfer %s: %w", at.Name, err)
		}
		transfers = append(transfers, at)
	}
	return transfers, nil
}

// remove deletes the transfers, and waits until nothing of them runs.
func (r *rig) remove(transfers []*v1alpha1.ArchiveTransfer) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var errs []error
	for _, at := range transfers {
		errs = append(errs, client.IgnoreNotFound(r.Client.Delete(ctx, at)))
	}
	for _, at := range transfers {
		errs = append(errs, r.gone(ctx, at))
	}
	return errors.Join(errs...)
}

// awaitWorkers waits until so many workers have reported, and every transfer sends.
func (r *rig) awaitWorkers(ctx context.Context, transfers []*v1alpha1.ArchiveTransfer, workers int) error {
	return r.await(ctx, fmt.Sprintf("%d workers that send", workers), func() (bool, error) {
		reporting, sending := 0, 0
		for _, c := range r.counters(ctx, transfers) {
			reporting += c.workers
			sending += int(min(c.bytes, 1))
		}
		return reporting == workers && sending == len(transfers), nil
	})
}

// counter is what the workers of a transfer say they have sent.
type counter struct {
	workers int
	bytes   int64
}

// counters reads the reports, one counter for each transfer.
func (r *rig) counters(ctx context.Context, transfers []*v1alpha1.ArchiveTransfer) []counter {
	all := make([]counter, len(transfers))
	var leases v1alpha1.PrefixLeaseList
	if err := r.Client.List(ctx, &leases, client.InNamespace(namespace)); err != nil {
		return all // The next look may have more luck.
	}
	for i, at := range transfers {
		for _, lease := range leases.Items {
			if lease.Labels[v1alpha1.LabelTransferUID] != string(at.UID) || lease.Status.Instance == "" {
				continue
			}
			all[i].workers++
			for _, p := range lease.Status.Prefixes {
				all[i].bytes += ptr.Deref(p.Bytes, 0)
			}
		}
	}
	return all
}

// window measures for a while.
func (r *rig) window(ctx context.Context, c condition, transfers []*v1alpha1.ArchiveTransfer, length time.Duration) (phase, error) {
	if err := r.reset(ctx); err != nil {
		return phase{}, err
	}
	before := r.counters(ctx, transfers)
	var p phase
	var bySecond []int64
	for range int(length / time.Second) {
		if err := pause(ctx, time.Second); err != nil {
			return phase{}, err
		}
		stats, err := r.stats(ctx)
		if err != nil {
			return phase{}, err
		}
		p = newPhase(c, stats)
		bySecond = append(bySecond, int64(p.BytesPerSecond*p.Seconds))
	}
	p.Stored = bySecond
	for i, now := range r.counters(ctx, transfers) {
		p.TransferBytes = append(p.TransferBytes, now.bytes-before[i].bytes)
	}
	return p, nil
}

func pause(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(length):
		return nil
	}
}

// stats are what the lab has seen since it was last reset.
func (r *rig) stats(ctx context.Context) (figures.LabStats, error) {
	var stats figures.LabStats
	response, err := r.askLab(ctx, http.MethodGet, "/")
	if err != nil {
		return stats, err
	}
	defer response.Body.Close() //nolint:errcheck // It was read.
	if err := json.NewDecoder(response.Body).Decode(&stats); err != nil {
		return stats, fmt.Errorf("read the lab's statistics: %w", err)
	}
	return stats, nil
}

func (r *rig) reset(ctx context.Context) error {
	response, err := r.askLab(ctx, http.MethodPost, "/reset")
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func (r *rig) askLab(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.at(statsPort)+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the lab: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the lab: %w", err)
	}
	return response, nil
}
