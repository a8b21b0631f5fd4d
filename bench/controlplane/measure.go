package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/bench/figures"
)

const (
	// look is how often the fleet is looked at.
	look = 100 * time.Millisecond
	// startPhase is what counts as the start; the steady phase is the last steadyPhase.
	startPhase  = 20 * time.Second
	steadyPhase = 60 * time.Second
	// askManager is how often the manager's gauges and the transfer are read.
	askManager = 2 * time.Second
	// restartTime is how long the manager may take to be there again.
	restartTime = time.Minute
)

// measurement is what one fleet asked of the control plane.
type measurement struct {
	Workers int `json:"workers"`
	// PodsSeconds is from the transfer's creation until all pods had a node.
	PodsSeconds float64 `json:"podsSeconds"`
	// LeasedSeconds and CapacitySeconds are from then until nine of ten workers held a lease,
	// and until leases allowed nine tenths of the path's capacity; 0 for never.
	LeasedSeconds   float64 `json:"leasedSeconds"`
	CapacitySeconds float64 `json:"capacitySeconds"`
	// Allowed is the part of the capacity that leases allowed at the end, AllowedSteady in the steady phase.
	Allowed       float64        `json:"allowed"`
	AllowedSteady figures.Spread `json:"allowedSteady"`
	// UntilLeased is what a worker asked until it held a lease, on average. LeaseRequests are those of all
	// about types of this project, from the transfer's creation until nine of ten held one, per worker
	// and by verb and resource.
	UntilLeased   asks               `json:"untilLeased"`
	LeaseRequests map[string]float64 `json:"leaseRequests,omitempty"`
	Lost          int64              `json:"lost"`
	// Restarts counts how often the manager ended, as it does when it cannot renew its leadership.
	Restarts int64 `json:"restarts"`
	Start    phase `json:"start"`
	Steady   phase `json:"steady"`
	// IntervalSeconds is between reports at the end, AgeSeconds those of the oldest last report.
	IntervalSeconds float64        `json:"intervalSeconds"`
	AgeSeconds      figures.Spread `json:"ageSeconds"`
	// StatusBytes is of the transfer's status at the end, StatusMost of the largest that was seen.
	StatusBytes  int            `json:"statusBytes"`
	StatusMost   int            `json:"statusMost,omitempty"`
	LeaseBytes   figures.Spread `json:"leaseBytes"`
	ManagerBytes float64        `json:"managerBytes"`
}

// phase is what one stretch of time took.
type phase struct {
	Seconds float64 `json:"seconds"`
	// Requests to the API server per second, by verb and resource; of those of types of Kubernetes
	// only what the manager and the puppets ask for counts as Ours.
	Requests map[string]float64 `json:"requests"`
	Ours     float64            `json:"ours"`
	All      float64            `json:"all"`
	// Ticks per second, and their mean and longest in seconds, the latter as the
	// bound of a bucket, 0 for longer than all bounds.
	Ticks       float64 `json:"ticks"`
	TickMean    float64 `json:"tickMean"`
	TickMost    float64 `json:"tickMost"`
	DecideMean  float64 `json:"decideMean"`
	DecideMost  float64 `json:"decideMost"`
	ManagerCPU  float64 `json:"managerCPU"` // processors
	ServerCPU   float64 `json:"serverCPU"`
	GrantWrites float64 `json:"grantWrites"` // per second
}

// reading is what the processes tell of themselves at one time.
type reading struct {
	at              time.Time
	manager, server families
}

func (r *rig) read(ctx context.Context) (reading, error) {
	out := reading{at: time.Now()}
	var err error
	for deadline := time.Now().Add(restartTime); ; time.Sleep(look) {
		if out.manager, err = scrapeManager(ctx, r.metrics); err == nil {
			break
		}
		if !time.Now().Before(deadline) {
			return out, err
		}
	}
	out.server, err = scrapeServer(ctx, r.raw)
	return out, err
}

// run measures a fleet of a size, on a control plane of its own.
func run(ctx context.Context, o options, workers int) (measurement, error) {
	m := measurement{Workers: workers}
	r, err := startRig(ctx, o.root, o.budget)
	if err != nil {
		return m, err
	}
	defer func() {
		if err := r.stop(); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "benchcontrolplane:", err)
		}
	}()
	created, err := r.read(ctx)
	if err != nil {
		return m, err
	}
	at, err := r.createTransfer(ctx, workers)
	if err != nil {
		return m, err
	}
	pods, err := r.startPods(ctx, at, workers)
	if err != nil {
		return m, err
	}
	m.PodsSeconds = time.Since(created.at).Seconds()
	f := startFleet(r.cluster.Config, pods)
	defer f.end()
	if err := m.watch(ctx, r, at, f, created, o.length); err != nil {
		return m, err
	}
	m.Lost, m.Restarts = f.lost.Load(), r.keeper.Restarts()
	err = m.weigh(ctx, r, at)
	return m, err
}

// watch looks at the fleet of a transfer for a while.
func (m *measurement) watch(ctx context.Context, r *rig, at *v1alpha1.ArchiveTransfer, f *fleet, created reading, length time.Duration) error {
	begun, err := r.read(ctx)
	if err != nil {
		return err
	}
	var steady *reading
	var ages, allowed []float64
	started, asked := false, begun.at
	for elapsed := time.Duration(0); elapsed < length; elapsed = time.Since(begun.at) {
		time.Sleep(look)
		m.note(f, time.Since(begun.at))
		if steady != nil {
			allowed = append(allowed, m.Allowed)
		}
		switch elapsed := time.Since(begun.at); {
		case m.LeaseRequests == nil && m.LeasedSeconds > 0:
			now, err := r.read(ctx)
			if err != nil {
				return err
			}
			m.UntilLeased, m.LeaseRequests = f.untilLeased(), perWorker(created, now, m.Workers)
		case !started && elapsed >= startPhase:
			now, err := r.read(ctx)
			if err != nil {
				return err
			}
			started, m.Start = true, between(begun, now)
		case steady == nil && elapsed >= length-steadyPhase:
			now, err := r.read(ctx)
			if err != nil {
				return err
			}
			steady = &now
		case time.Since(asked) >= askManager:
			asked = time.Now()
			if err := m.weighStatus(ctx, r, at); err != nil {
				return err
			}
			gauges, err := scrapeManager(ctx, r.metrics)
			if err != nil {
				continue // it is being started again
			}
			m.ManagerBytes = max(m.ManagerBytes, gauges.value("process_resident_memory_bytes"))
			if steady != nil {
				ages = append(ages, gauges.value("cargoship_lease_report_age_seconds"))
			}
		}
	}
	now, err := r.read(ctx)
	if err != nil {
		return err
	}
	m.Steady, m.AgeSeconds, m.AllowedSteady = between(*steady, now), figures.NewSpread(ages), figures.NewSpread(allowed)
	return nil
}

// note notes what the fleet has reached by now.
func (m *measurement) note(f *fleet, elapsed time.Duration) {
	held, allowed, interval := f.state()
	m.Allowed, m.IntervalSeconds = allowed, interval.Seconds()
	if m.LeasedSeconds == 0 && held*10 >= m.Workers*9 {
		m.LeasedSeconds = elapsed.Seconds()
	}
	if m.CapacitySeconds == 0 && allowed >= 0.9 {
		m.CapacitySeconds = elapsed.Seconds()
	}
}

// between is the phase between two readings.
func between(a, b reading) phase {
	p := phase{Seconds: b.at.Sub(a.at).Seconds(), Requests: map[string]float64{}}
	// A process that began anew counts from zero.
	per := func(before, after float64) float64 {
		if after < before {
			before = 0
		}
		return (after - before) / p.Seconds
	}
	before := a.server.requests()
	for key, n := range b.server.requests() {
		if speed := per(before[key], n); speed > 0 {
			p.Requests[key] = speed
			p.All += speed
			if isOurs(key) {
				p.Ours += speed
			}
		}
	}
	tick := b.manager.histogram("cargoship_coordinator_tick_seconds").since(a.manager.histogram("cargoship_coordinator_tick_seconds"))
	decide := b.manager.histogram("cargoship_coordinator_decide_seconds").since(a.manager.histogram("cargoship_coordinator_decide_seconds"))
	p.Ticks, p.TickMean, p.TickMost = tick.Count/p.Seconds, tick.mean(), tick.most()
	p.DecideMean, p.DecideMost = decide.mean(), decide.most()
	p.ManagerCPU = per(a.manager.value("process_cpu_seconds_total"), b.manager.value("process_cpu_seconds_total"))
	p.ServerCPU = per(a.server.value("process_cpu_seconds_total"), b.server.value("process_cpu_seconds_total"))
	p.GrantWrites = per(a.manager.value("cargoship_api_writes_total"), b.manager.value("cargoship_api_writes_total"))
	return p
}

// perWorker is what was asked about types of this project between two readings, for each of so
// many workers.
func perWorker(a, b reading, workers int) map[string]float64 {
	before, all := a.server.requests(), map[string]float64{}
	for key, n := range b.server.requests() {
		if isOurs(key) && n > before[key] {
			all[key] = (n - before[key]) / float64(workers)
		}
	}
	return all
}

// weigh measures how large the objects are that the fleet has left.
func (m *measurement) weigh(ctx context.Context, r *rig, at *v1alpha1.ArchiveTransfer) error {
	if err := m.weighStatus(ctx, r, at); err != nil {
		return err
	}
	var leases v1alpha1.PrefixLeaseList
	if err := r.admin.List(ctx, &leases, client.InNamespace(at.Namespace)); err != nil {
		return fmt.Errorf("list the leases: %w", err)
	}
	var sizes []float64
	for i := range leases.Items {
		text, err := json.Marshal(&leases.Items[i])
		if err != nil {
			return fmt.Errorf("encode a lease: %w", err)
		}
		sizes = append(sizes, float64(len(text)))
	}
	m.LeaseBytes = figures.NewSpread(sizes)
	return nil
}

// weighStatus measures how large the transfer's status is now.
func (m *measurement) weighStatus(ctx context.Context, r *rig, at *v1alpha1.ArchiveTransfer) error {
	if err := r.admin.Get(ctx, client.ObjectKeyFromObject(at), at); err != nil {
		return fmt.Errorf("read the transfer: %w", err)
	}
	status, err := json.Marshal(at.Status)
	if err != nil {
		return fmt.Errorf("encode the transfer's status: %w", err)
	}
	m.StatusBytes, m.StatusMost = len(status), max(m.StatusMost, len(status))
	return nil
}
