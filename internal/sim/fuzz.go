package sim

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// fuzzFaulty is how long faults happen in a random scenario, fuzzQuiet how long
	// after them everything must have ended and nothing be left over.
	fuzzFaulty = 60 * time.Second
	fuzzQuiet  = 30 * time.Minute
)

// Fuzz runs random scenarios with the coordinator, one for each seed from first
// on, some at a time, and hands out each one's first violation; told is called
// after each scenario, never twice at once.
func Fuzz(first uint64, count, parallel int, told func(seed uint64, violation string)) {
	seeds := make(chan uint64)
	var working sync.WaitGroup
	var telling sync.Mutex
	for range max(1, parallel) {
		working.Go(func() {
			for seed := range seeds {
				violation := FuzzOne(seed)
				telling.Lock()
				told(seed, violation)
				telling.Unlock()
			}
		})
	}
	for i := range count {
		seeds <- first + uint64(i)
	}
	close(seeds)
	working.Wait()
}

// FuzzOne runs the random scenario of a seed, and gives its first violation.
func FuzzOne(seed uint64) (violation string) {
	return fuzzOne(seed, func(s *Scenario, config *protocol.Config) { randomOutages(stream(seed, "outages"), s, config) })
}

// fuzzOne does so with whatever is to happen beside.
func fuzzOne(seed uint64, beside func(*Scenario, *protocol.Config)) (violation string) {
	random := stream(seed, "scenario")
	s := randomScenario(random)
	randomLies(stream(seed, "lies"), s)
	config := randomConfig(random)
	randomBudget(stream(seed, "budget"), s)
	beside(s, &config)
	r := newRun(s, seed)
	defer func() {
		if p := recover(); p != nil {
			violation = fmt.Sprintf("panic at %.3f s: %v", r.now.Seconds(), p)
		}
	}()
	f := newFleet(r, Controller{Name: "random", config: &config})
	r.record.watch(r)
	r.every(time.Second, func() { r.over = f.atRest() })
	r.play()
	r.check.concluded(f)
	if r.over {
		r.check.rested(f)
	} else {
		r.check.violation("liveness", "archives have not ended, or leases are held, %v after the last fault", fuzzQuiet)
	}
	return r.check.first
}

// atRest tells that the faults are over, all work has ended, no lease is held and the
// manager was told of every pod that has ended.
func (f *fleet) atRest() bool {
	if f.now < fuzzFaulty || f.manager.core == nil || f.record.inFlight > 0 || len(f.manager.gone) > 0 {
		return false
	}
	for _, p := range f.pods {
		if !p.worker.dead || f.manager.core.HasWorker(p.worker.id) {
			return false
		}
	}
	return true
}

// randomScenario draws a small one with everything that can go wrong. Its defaults
// are those of a file.
func randomScenario(random *rand.Rand) *Scenario {
	s := &Scenario{Name: "random", Duration: Duration(fuzzFaulty + fuzzQuiet)}
	s.RequestTimeout = seconds(2 + 10*random.Float64())
	s.ConnectionRate = 85e6
	s.Service = Service{
		Median: seconds(0.05 + 0.5*random.Float64()), Sigma: 0.35, SlowShare: 0.01, SlowTime: seconds(5),
		ThrottleMin: seconds(0.02), ThrottleMax: seconds(0.03), ErrorShare: Share(0.02 * random.Float64()),
	}
	if random.IntN(2) == 0 {
		s.Service.ErrorShare = 0
	}
	s.Messages = Messages{
		Delay: seconds(0.005), Jitter: seconds(random.Float64()), Loss: Share(0.3 * random.Float64()),
		Duplicates: Share(0.2 * random.Float64()), Late: Share(0.2 * random.Float64()), LateBy: seconds(20 * random.Float64()),
		Drift: Share(driftBound * random.Float64()),
	}
	for i := range 1 + random.IntN(2) {
		s.Links = append(s.Links, Link{fmt.Sprintf("l%d", i), Bandwidth(2e6 + 60e6*random.Float64())})
	}
	for i := range 1 + random.IntN(3) {
		s.Partitions = append(s.Partitions, randomPartition(random, i))
	}
	for i := range 1 + random.IntN(3) {
		s.Transfers = append(s.Transfers, randomTransfer(random, s, i))
	}
	for range random.IntN(2) {
		s.Tenants = append(s.Tenants, Tenant{
			Name: "other", Partition: s.Partitions[0].Name, Link: s.Links[0].Name, PartSize: 64 << 10,
			InFlight: 1 + random.IntN(8), From: someTime(random), Until: Duration(fuzzFaulty),
		})
	}
	for range random.IntN(4) {
		s.Changes = append(s.Changes, Change{
			At: someTime(random), Partition: s.Partitions[0].Name, Rate: Rate(5 + 200*random.Float64()),
		})
	}
	for range random.IntN(8) {
		s.Faults = append(s.Faults, randomFault(random))
	}
	return s
}

func someTime(random *rand.Rand) Duration { return seconds(fuzzFaulty.Seconds() * random.Float64()) }

func randomPartition(random *rand.Rand, i int) Partition {
	p := Partition{Name: fmt.Sprintf("p%d", i), Rate: Rate(5 + 200*random.Float64()), Depth: 1 + random.IntN(20)}
	switch random.IntN(3) {
	case 0:
		p.Split = &Split{Into: 2, By: splitByPrefixes, After: seconds(10), Pressure: 0.9, Limit: 4 * p.Rate}
		p.Merge = &Merge{After: seconds(20), Below: 0.25}
	case 1:
		p.Split = &Split{Into: 2, By: "keys", At: someTime(random) + 1, Limit: 4 * p.Rate}
	}
	return p
}

func randomTransfer(random *rand.Rand, s *Scenario, i int) Transfer {
	t := Transfer{
		Name: fmt.Sprintf("t%d", i), Weight: 1 + random.IntN(4), PartSize: Size(1<<16 + random.IntN(1<<20)),
		ArchiveParts: 1 + random.IntN(12), Archives: 1 + random.IntN(60),
	}
	if random.IntN(3) == 0 {
		t.Archives = 0
		t.Arrivals = []Arrival{{Archives: 1 + random.IntN(8), Every: seconds(5), Until: Duration(fuzzFaulty) * 3 / 4}}
	}
	for n := range 1 + random.IntN(3) {
		t.Prefixes = append(t.Prefixes, Prefix{
			Name: fmt.Sprintf("x%d", n), Count: 1 + random.IntN(4),
			Partition: s.Partitions[random.IntN(len(s.Partitions))].Name,
		})
	}
	for n := range 1 + random.IntN(2) {
		t.Workers = append(t.Workers, WorkerGroup{
			Name: fmt.Sprintf("t%d-w%d", i, n), Count: 1 + random.IntN(4), NIC: Bandwidth(1e6 + 50e6*random.Float64()),
			Link: s.Links[random.IntN(len(s.Links))].Name, MaxInFlight: 1 + random.IntN(40),
		})
	}
	return t
}

func randomFault(random *rand.Rand) Fault {
	kinds := []string{
		FaultThrottling, FaultTimeouts, FaultErrors, FaultHang, FaultCrash, FaultRestart, FaultIsolate, FaultManager, FaultManager,
	}
	f := Fault{
		Kind: kinds[random.IntN(len(kinds))], At: someTime(random), For: seconds(0.5 + 30*random.Float64()),
		Count: random.IntN(3), Until: Duration(fuzzFaulty),
	}
	if random.IntN(3) == 0 {
		f.Every = seconds(5 + 20*random.Float64())
	}
	return f
}

// randomBudget makes every third fleet a large one for what the API server carries.
func randomBudget(random *rand.Rand, s *Scenario) {
	if random.IntN(3) == 0 {
		s.Messages.ReportsPerSecond = 1 + random.IntN(4)
	}
}

// randomOutages are the faults of the control plane that a random scenario has beside the
// others, some of which outlast the time for which a worker coasts.
func randomOutages(random *rand.Rand, s *Scenario, config *protocol.Config) {
	config.CoastingTime = time.Duration(seconds(30 * random.Float64() * float64(random.IntN(4))))
	for range random.IntN(3) {
		kinds := []string{FaultManager, FaultAPI, FaultIsolate}
		s.Faults = append(s.Faults, Fault{
			Kind: kinds[random.IntN(len(kinds))], At: someTime(random), For: seconds(120 * random.Float64()),
			Count: random.IntN(3), Until: Duration(fuzzFaulty),
		})
	}
}

func randomConfig(random *rand.Rand) protocol.Config {
	c := protocol.DefaultConfig()
	strategies := []protocol.Strategy{protocol.Adaptive, protocol.FairShare, protocol.TCPLike}
	c.Strategy = strategies[random.IntN(len(strategies))]
	c.AdvancedFlowControl = random.IntN(4) > 0
	c.UpdateInterval = time.Duration(1+random.IntN(3)) * time.Second
	c.LeaseDuration = max(3*c.UpdateInterval, time.Duration(5+random.IntN(25))*time.Second)
	c.PipelineDepth = 1 + random.IntN(8)
	c.MaxActivePrefixes = 1 + random.IntN(6)
	c.GlobalCongestionWindow = 1 + random.IntN(40)
	c.MaxAttempts = 100
	return c
}
