package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// options are what the command line chooses.
type options struct {
	workers, prefixes, rounds int
	files, archives           int64
	limit                     float64
	out                       string
}

func main() {
	var o options
	flag.IntVar(&o.workers, "workers", 1000, "workers of the fleet")
	flag.IntVar(&o.prefixes, "prefixes", 64, "prefixes of the transfer")
	flag.Int64Var(&o.files, "files", 10_000_000, "files of the plan")
	flag.Int64Var(&o.archives, "archives", 10_000_000, "archives that they are in")
	flag.IntVar(&o.rounds, "rounds", 30, "rounds of reports and grants")
	flag.Float64Var(&o.limit, "limit", 512, "most MiB that the process may take at its peak")
	flag.StringVar(&o.out, "out", "", "file for the table, as Markdown")
	flag.Parse()
	if err := measure(o); err != nil {
		fmt.Fprintln(os.Stderr, "benchmemory:", err)
		os.Exit(1)
	}
}

// measure builds the state step by step, and holds the peak against the limit.
func measure(o options) error {
	var r report
	r.note("nothing yet")
	f, err := newFleet(o)
	if err != nil {
		return err
	}
	r.note("the cache: a transfer, its leases and pods")
	if err := f.lead(); err != nil {
		return err
	}
	r.note("the core, with the whole plan")
	for range o.rounds {
		if err := f.round(); err != nil {
			return err
		}
	}
	r.note(fmt.Sprintf("after %d rounds, each with copies of all objects", o.rounds))
	r.finished, r.recorded = f.finished, f.recordedBytes()
	runtime.KeepAlive(f)
	return r.write(o)
}

// lead has a coordinator begin with the transfer, and plans all of it.
func (f *fleet) lead() error {
	core, err := coordination.NewPipelineCoordinator(coordination.Options{Rand: rand.New(rand.NewPCG(1, 1))})
	if err != nil {
		return fmt.Errorf("begin to coordinate: %w", err)
	}
	f.core = core
	if err := core.Start(f.now, protocol.Snapshot{Epoch: 1}); err != nil {
		return fmt.Errorf("begin to coordinate: %w", err)
	}
	t, err := convert.Transfer(f.workload())
	if err != nil {
		return fmt.Errorf("read the transfer: %w", err)
	}
	if err := core.PutTransfer(f.now, t); err != nil {
		return fmt.Errorf("coordinate the transfer: %w", err)
	}
	prefixes := int64(f.options.prefixes)
	for _, name := range f.names() {
		planned := protocol.Planned{Archives: f.options.archives / prefixes, Files: f.options.files / prefixes, Bytes: f.options.files / prefixes << 20}
		if err := core.PlanPrefix(f.now, f.id(), protocol.PlannedPrefix{Prefix: name, Planned: planned}); err != nil {
			return fmt.Errorf("plan prefix %s: %w", name, err)
		}
	}
	for _, lease := range f.leases {
		core.AddWorker(f.now, protocol.WorkerID(lease.Name), f.id(), 64)
	}
	return nil
}

// round is one tick of the manager: it lists its cache, which copies every object, takes
// in all reports, decides, and writes status and grants.
func (f *fleet) round() error {
	f.now = f.now.Add(20 * time.Second)
	for i, lease := range f.leases {
		f.work(lease)
		copied, pod := lease.DeepCopy(), f.pods[i].DeepCopy()
		if err := f.core.Observe(f.now, convert.Report(protocol.WorkerID(pod.Name), f.id(), copied.Status)); err != nil {
			return fmt.Errorf("take in the report of %s: %w", pod.Name, err)
		}
		f.copies = append(f.copies, copied, pod)
	}
	plan := f.core.Tick(f.now)
	if err := f.record(); err != nil {
		return err
	}
	for _, g := range plan.Grants {
		f.byName[string(g.Worker)].Spec = convert.Grant(g)
	}
	f.copies = f.copies[:0]
	return nil
}
