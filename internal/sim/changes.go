package sim

import (
	"cmp"
	"slices"
	"time"
)

// change makes something otherwise from now on.
func (r *run) change(c Change) {
	r.record.disturbance(r.now)
	switch {
	case c.Link != "":
		r.links[c.Link].setCapacity(float64(c.Bandwidth))
	case c.Partition != "":
		r.partitions[c.Partition].setRate(r.now, float64(c.Rate))
	case c.Service != nil:
		r.answers = *c.Service
	case c.Transfer != "":
		for _, w := range r.works {
			if w.spec.Name == c.Transfer {
				w.partSize = int64(c.PartSize)
			}
		}
	default:
		for _, p := range r.hosts {
			if p.group.Name == c.Workers {
				p.host.setNIC(float64(c.NIC))
			}
		}
	}
}

// phase is a time in which the destination answers alike and archives are cut alike.
type phase struct {
	service   Service
	partSizes []Size  // by transfer
	accepted  float64 // share of a run's accepted requests
}

// phaseAt gives the phase that holds at a time.
func (s *Scenario) phaseAt(now time.Duration) phase {
	p := phase{service: s.Service, accepted: 1}
	for i := range s.Transfers {
		p.partSizes = append(p.partSizes, s.Transfers[i].PartSize)
	}
	for _, c := range s.Changes {
		switch {
		case time.Duration(c.At) > now:
		case c.Service != nil:
			p.service = *c.Service
		case c.Transfer != "":
			p.partSizes[slices.IndexFunc(s.Transfers, func(t Transfer) bool { return t.Name == c.Transfer })] = c.PartSize
		}
	}
	return p
}

// phases gives those of a run in which requests were accepted.
func (r *run) phases() []phase {
	var starts []time.Duration
	for _, c := range r.scenario.Changes {
		if at := time.Duration(c.At); at > 0 && at < time.Duration(r.scenario.Duration) && (c.Service != nil || c.Transfer != "") {
			starts = append(starts, at)
		}
	}
	starts = slices.Compact(append([]time.Duration{0}, starts...))
	var phases []phase
	for i, start := range starts {
		end := len(r.record.bins)
		if i+1 < len(starts) {
			end = int(starts[i+1] / binWidth)
		}
		accepted := 0
		for _, b := range r.record.bins[int(start/binWidth):end] {
			accepted += int(b.accepted)
		}
		if accepted > 0 {
			p := r.scenario.phaseAt(start)
			p.accepted = float64(accepted) / float64(r.record.accepted)
			phases = append(phases, p)
		}
	}
	return phases
}

// changes checks them in the order of their times, in which they stay.
func (c *checker) changes(s *Scenario) {
	order := make([]int, len(s.Changes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(s.Changes[i].At, s.Changes[j].At) })
	sorted, service := make([]Change, 0, len(order)), s.Service
	for _, i := range order {
		x, p := &s.Changes[i], place{"changes", i}
		notNegative(c, p, "at", x.At)
		c.changed(s, x, p)
		if x.Service != nil {
			c.serviceChange(x.Service, p.with("service"), &service)
		}
		sorted = append(sorted, *x)
	}
	s.Changes = sorted
}

// changed checks that one thing changes, and to what.
func (c *checker) changed(s *Scenario, x *Change, p place) {
	named := 0
	for _, target := range []struct {
		key, name, field string
		known            bool
		value            float64
	}{
		{"link", x.Link, "bandwidth", s.hasLink(x.Link), float64(x.Bandwidth)},
		{"partition", x.Partition, "rate", s.hasPartition(x.Partition), float64(x.Rate)},
		{"workers", x.Workers, "nic", s.hasWorkers(x.Workers), float64(x.NIC)},
		{"transfer", x.Transfer, "partSize", s.hasTransfer(x.Transfer), float64(x.PartSize)},
	} {
		if target.name == "" {
			if target.value != 0 {
				c.fail(p.with(target.field), "is a change of a %s, which is not named", target.key)
			}
			continue
		}
		named++
		if !target.known {
			c.fail(p.with(target.key), "nothing is named %q", target.name)
		}
		positive(c, p, target.field, target.value)
	}
	if x.Service != nil {
		named++
	}
	if named != 1 {
		c.fail(p, "needs one of link, partition, workers, transfer and service")
	}
	c.partSizeChange(s, x, p)
}

// partSizeChange checks what archives are cut into.
func (c *checker) partSizeChange(s *Scenario, x *Change, p place) {
	for i := range s.Transfers {
		t := &s.Transfers[i]
		if t.Name != x.Transfer || x.PartSize <= 0 {
			continue
		}
		switch archive := t.archiveSize(); {
		case int64(x.PartSize) > archive:
			c.fail(p.with("partSize"), "is more than the %d bytes of an archive", archive)
		case partsOf(archive, int64(x.PartSize)) > maxArchiveParts:
			c.fail(p.with("partSize"), "cuts an archive of %d bytes into %d parts, must be at most %d", archive, partsOf(archive, int64(x.PartSize)), maxArchiveParts)
		}
	}
}

// serviceChange takes what is left out from what was in force before, and has itself take its place.
func (c *checker) serviceChange(to *Service, p place, inForce *Service) {
	c.service(p, to, *inForce)
	if *to == *inForce {
		c.fail(p, "changes nothing")
	}
	*inForce = *to
}
