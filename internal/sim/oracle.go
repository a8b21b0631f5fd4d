package sim

import (
	"math"
	"time"
)

// optimum is what a fluid that knows everything sends: at each moment the
// weighted max-min fair rates under all limits.
type optimum struct {
	rates     []float64 // bytes per second, by bin
	transfers []float64 // bytes
	prefixes  [][]float64
	total     float64
	// finish is when finite work would be done; the scenario's duration otherwise.
	finish time.Duration
}

// flow is a prefix's traffic over one link.
type flow struct {
	transfer, prefix int
	weight           float64
	limits           []*bound
	costs            []float64 // of one byte per second, by limit
	rate             float64
	fixed            bool
}

// bound is a capacity that flows share.
type bound struct{ capacity float64 }

// oracle follows the scenario as the fluid would live it.
type oracle struct {
	scenario   *Scenario
	partitions map[string]*partition
	bounds     map[string]*bound
	flows      []*flow
	backlog    []float64 // bytes by transfer; infinite where there is more than can be sent
	due        [][]Arrival
	phase      phase
}

// solve gives the optimum of a scenario.
func solve(s *Scenario) *optimum {
	o := newOracle(s)
	end := time.Duration(s.Duration)
	best := &optimum{finish: end, transfers: make([]float64, len(s.Transfers)), prefixes: make([][]float64, len(s.Transfers))}
	for i := range s.Transfers {
		best.prefixes[i] = make([]float64, s.Transfers[i].prefixCount())
	}
	width := binWidth.Seconds()
	for now := time.Duration(0); now < end; now += binWidth {
		o.advance(now)
		sum := 0.0
		for _, f := range o.flows {
			bytes := f.rate * width
			sum += f.rate
			best.transfers[f.transfer] += bytes
			best.prefixes[f.transfer][f.prefix] += bytes
			best.total += bytes
			o.backlog[f.transfer] = max(0, o.backlog[f.transfer]-bytes)
		}
		best.rates = append(best.rates, sum)
		if sum > 0 {
			best.finish = now + binWidth
		}
		if now%time.Second == 0 {
			o.press(now)
		}
	}
	if !s.finite() {
		best.finish = end
	}
	return best
}

func (t *Transfer) prefixCount() int {
	n := 0
	for _, p := range t.Prefixes {
		n += p.Count
	}
	return n
}

// finite tells that all work of the scenario appears and could be done within it.
func (s *Scenario) finite() bool {
	for _, t := range s.Transfers {
		if t.Archives == 0 && len(t.Arrivals) == 0 {
			return false
		}
	}
	return true
}

func newOracle(s *Scenario) *oracle {
	o := &oracle{scenario: s, partitions: map[string]*partition{}, bounds: map[string]*bound{}}
	for _, x := range s.Partitions {
		o.partitions[x.Name] = newPartition(x)
	}
	for i := range s.Transfers {
		t := &s.Transfers[i]
		backlog := math.Inf(1)
		if t.Archives > 0 || len(t.Arrivals) > 0 {
			backlog = float64(t.Archives) * float64(t.archiveSize())
		}
		o.backlog = append(o.backlog, backlog)
		o.due = append(o.due, append([]Arrival(nil), t.Arrivals...))
		o.addFlows(i, t)
	}
	return o
}

// addFlows adds a flow for each prefix over each link of the transfer's workers.
func (o *oracle) addFlows(i int, t *Transfer) {
	links := map[string]bool{}
	for _, g := range t.Workers {
		if links[g.Link] {
			continue
		}
		links[g.Link] = true
		index := 0
		for _, p := range t.Prefixes {
			for range p.Count {
				f := &flow{transfer: i, prefix: index, weight: float64(t.Weight) / float64(t.prefixCount())}
				f.add(o.bound("partition "+p.Partition), 1/float64(t.PartSize))
				f.add(o.bound("link "+g.Link), 1)
				f.add(o.bound("workers "+t.Name+" "+g.Link), 1)
				f.add(o.bound("backlog "+t.Name), 1)
				o.flows = append(o.flows, f)
				index++
			}
		}
	}
}

func (f *flow) add(b *bound, cost float64) {
	f.limits = append(f.limits, b)
	f.costs = append(f.costs, cost)
}

func (o *oracle) bound(name string) *bound {
	if o.bounds[name] == nil {
		o.bounds[name] = &bound{}
	}
	return o.bounds[name]
}

// advance sets the rates from now on.
func (o *oracle) advance(now time.Duration) {
	for i := range o.scenario.Transfers {
		o.arrive(now, i)
	}
	o.phase = o.scenario.phaseAt(now)
	for _, f := range o.flows {
		f.costs[0] = 1 / float64(o.phase.partSizes[f.transfer])
	}
	at := o.capacities(now)
	for name, b := range o.bounds {
		b.capacity = at(name)
	}
	o.fill()
}

// arrive adds what has appeared to the backlog.
func (o *oracle) arrive(now time.Duration, i int) {
	t := &o.scenario.Transfers[i]
	for n := range o.due[i] {
		a := &o.due[i][n]
		for a.Archives > 0 && time.Duration(a.At) <= now {
			o.backlog[i] += float64(a.Archives) * float64(t.archiveSize())
			a.At += a.Every
			if a.Every == 0 || a.At > a.Until {
				a.Archives = 0
			}
		}
	}
}

// capacities gives the capacity of every bound at a time.
func (o *oracle) capacities(now time.Duration) func(name string) float64 {
	s := o.scenario
	values := map[string]float64{}
	for _, l := range s.Links {
		values["link "+l.Name] = float64(l.Bandwidth)
	}
	for name, p := range o.partitions {
		values["partition "+name] = float64(p.spec.Rate)
	}
	nics := map[string]float64{}
	for _, c := range s.Changes {
		switch {
		case time.Duration(c.At) > now:
		case c.Link != "":
			values["link "+c.Link] = float64(c.Bandwidth)
		case c.Partition != "":
			values["partition "+c.Partition] = float64(c.Rate)
			o.partitions[c.Partition].rate = float64(c.Rate)
		case c.Workers != "":
			nics[c.Workers] = float64(c.NIC)
		}
	}
	for name, p := range o.partitions {
		values["partition "+name] *= float64(p.parts)
	}
	for _, t := range s.Tenants {
		o.takeTenant(now, t, values)
	}
	for _, f := range s.Faults {
		if s.faulty(now, f) && (f.Kind == FaultThrottling || f.Kind == FaultTimeouts || f.Kind == FaultErrors) {
			for name := range o.partitions {
				if f.Partition == "" || f.Partition == name {
					values["partition "+name] = 0
				}
			}
		}
	}
	for i := range s.Transfers {
		t := &s.Transfers[i]
		values["backlog "+t.Name] = o.backlog[i] / binWidth.Seconds()
		for _, g := range t.Workers {
			values["workers "+t.Name+" "+g.Link] += o.groupCapacity(now, i, g, nics)
		}
	}
	return func(name string) float64 { return values[name] }
}

// takeTenant leaves what a tenant does not take: its demand, but never more than
// half of a capacity, which is what two alike would share.
func (o *oracle) takeTenant(now time.Duration, t Tenant, values map[string]float64) {
	if now < time.Duration(t.From) || now >= time.Duration(t.Until) {
		return
	}
	demand := float64(t.Rate)
	if t.InFlight > 0 {
		demand = float64(t.InFlight) / o.phase.service.idleMean(float64(t.PartSize), float64(o.scenario.ConnectionRate))
	}
	take := func(name string, amount float64) {
		values[name] -= min(amount, values[name]/2)
	}
	take("partition "+t.Partition, demand)
	take("link "+t.Link, demand*float64(t.PartSize))
}

// groupCapacity is what the workers of a group that are well can send.
func (o *oracle) groupCapacity(now time.Duration, transfer int, g WorkerGroup, nics map[string]float64) float64 {
	s, size := o.scenario, float64(o.phase.partSizes[transfer])
	nic := float64(g.NIC)
	if changed, ok := nics[g.Name]; ok {
		nic = changed
	}
	memory := float64(g.MaxInFlight) * size / o.phase.service.idleMean(size, min(float64(s.ConnectionRate), nic))
	ill := 0
	for _, f := range s.Faults {
		isIll := f.Kind == FaultHang || f.Kind == FaultCrash || f.Kind == FaultRestart
		if !isIll || f.Workers != "" && f.Workers != g.Name || !s.faulty(now, f) {
			continue
		}
		if f.Count == 0 {
			ill = g.Count
		}
		ill = max(ill, min(f.Count, g.Count))
	}
	return float64(g.Count-ill) * min(nic, memory)
}

// faulty tells whether a fault is in effect. A hang without an end lasts.
func (s *Scenario) faulty(now time.Duration, f Fault) bool {
	at, every, length := time.Duration(f.At), time.Duration(f.Every), time.Duration(f.For)
	if now < at {
		return false
	}
	if f.Kind == FaultHang && length == 0 {
		return true
	}
	since := now - at
	if every > 0 {
		if last := time.Duration(f.Until) - at; since > last {
			since -= last / every * every
		} else {
			since %= every
		}
	}
	return since < length
}

// fill raises all flows together until each meets a bound.
func (o *oracle) fill() {
	left := map[*bound]float64{}
	for _, b := range o.bounds {
		left[b] = b.capacity
	}
	for _, f := range o.flows {
		f.rate, f.fixed = 0, false
	}
	for range o.flows {
		slope := map[*bound]float64{}
		for _, f := range o.flows {
			for i, b := range f.limits {
				if !f.fixed {
					slope[b] += f.weight * f.costs[i]
				}
			}
		}
		if len(slope) == 0 {
			return
		}
		rise := math.Inf(1)
		for b, s := range slope {
			rise = min(rise, max(0, left[b])/s)
		}
		for b, s := range slope {
			left[b] -= rise * s
		}
		for _, f := range o.flows {
			if f.fixed {
				continue
			}
			f.rate += rise * f.weight
			for _, b := range f.limits {
				f.fixed = f.fixed || left[b] <= 1e-9*b.capacity && !math.IsInf(b.capacity, 1)
			}
		}
	}
}

// press lets partitions split and merge under what is offered, once a second.
func (o *oracle) press(now time.Duration) {
	for name, p := range o.partitions {
		offered := 0.0
		for _, f := range o.flows {
			if f.limits[0] == o.bounds["partition "+name] {
				offered += f.rate * f.costs[0]
			}
		}
		for _, t := range o.scenario.Tenants {
			if t.Partition == name && now >= time.Duration(t.From) && now < time.Duration(t.Until) {
				offered += float64(t.Rate)
			}
		}
		p.judge(now, offered)
	}
}
