package sim

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Bounds that keep a run finite.
const (
	maxWorkers      = 10_000
	maxPrefixes     = 1_000
	maxArchiveParts = 10_000
	longest         = Duration(24 * time.Hour)
)

func seconds(n float64) Duration { return Duration(n * float64(time.Second)) }

func (c *checker) scenario(s *Scenario) {
	var p place
	defaults(c, p, "duration", &s.Duration, seconds(120))
	positive(c, p, "duration", s.Duration)
	within(c, p, "duration", s.Duration, 0, longest)
	defaults(c, p, "requestTimeout", &s.RequestTimeout, seconds(60))
	positive(c, p, "requestTimeout", s.RequestTimeout)
	defaults(c, p, "connectionRate", &s.ConnectionRate, 85e6)
	positive(c, p, "connectionRate", s.ConnectionRate)
	c.service(place{"service"}, &s.Service, Service{
		Median: seconds(0.12), Sigma: 0.35, SlowShare: 0.001, SlowTime: seconds(5), ThrottleMin: seconds(0.020), ThrottleMax: seconds(0.030),
	})
	c.messages(&s.Messages)
	c.api(s)
	c.links(s)
	c.partitions(s)
	c.transfers(s)
	c.tenants(s)
	c.changes(s)
	c.faults(s)
	c.limits(s)
	for name := range s.Targets {
		if !isMetric(name) {
			c.fail(p.with("targets", name), "is no result; results are %v", metricNames())
		}
	}
}

// service fills in what is left out of a service.
func (c *checker) service(p place, s *Service, otherwise Service) {
	defaults(c, p, "median", &s.Median, otherwise.Median)
	defaults(c, p, "sigma", &s.Sigma, otherwise.Sigma)
	defaults(c, p, "slowShare", &s.SlowShare, otherwise.SlowShare)
	defaults(c, p, "slowTime", &s.SlowTime, otherwise.SlowTime)
	defaults(c, p, "errorShare", &s.ErrorShare, otherwise.ErrorShare)
	defaults(c, p, "throttleMin", &s.ThrottleMin, otherwise.ThrottleMin)
	defaults(c, p, "throttleMax", &s.ThrottleMax, otherwise.ThrottleMax)
	positive(c, p, "median", s.Median)
	within(c, p, "sigma", s.Sigma, 0, 3)
	within(c, p, "slowShare", s.SlowShare, 0, 1)
	within(c, p, "errorShare", s.ErrorShare, 0, 1)
	notNegative(c, p, "slowTime", s.SlowTime)
	positive(c, p, "throttleMin", s.ThrottleMin)
	within(c, p, "throttleMax", s.ThrottleMax, s.ThrottleMin, longest)
}

func (c *checker) messages(m *Messages) {
	p := place{"messages"}
	defaults(c, p, "delay", &m.Delay, seconds(0.005))
	defaults(c, p, "jitter", &m.Jitter, seconds(0.010))
	defaults(c, p, "lateBy", &m.LateBy, seconds(5))
	notNegative(c, p, "delay", m.Delay)
	notNegative(c, p, "jitter", m.Jitter)
	notNegative(c, p, "lateBy", m.LateBy)
	within(c, p, "loss", m.Loss, 0, 1)
	within(c, p, "duplicates", m.Duplicates, 0, 1)
	within(c, p, "late", m.Late, 0, 1)
	within(c, p, "drift", m.Drift, 0, 0.01)
	within(c, p, "reportsPerSecond", m.ReportsPerSecond, 0, 10_000)
}

func (c *checker) api(s *Scenario) {
	if s.API == nil {
		return
	}
	p := place{"api"}
	defaults(c, p, "latency", &s.API.Latency, seconds(0.020))
	defaults(c, p, "queue", &s.API.Queue, 500)
	positive(c, p, "requests", s.API.Requests)
	within(c, p, "requests", s.API.Requests, 0, 1e6)
	within(c, p, "latency", s.API.Latency, 0, seconds(60))
	within(c, p, "queue", s.API.Queue, 1, 1_000_000)
	m := &s.Messages
	for key, given := range map[string]bool{"loss": m.Loss > 0, "duplicates": m.Duplicates > 0, "late": m.Late > 0} {
		if given {
			c.fail(place{"messages", key}, "is of messages that nobody waits for, must be 0 where there is an api")
		}
	}
}

func (c *checker) links(s *Scenario) {
	if len(s.Links) == 0 {
		c.fail(place{"links"}, "is missing: name at least one link and its bandwidth")
	}
	names := map[string]bool{}
	for i := range s.Links {
		l, p := &s.Links[i], place{"links", i}
		c.name(p, &l.Name, fmt.Sprintf("link%d", i+1), names)
		positive(c, p, "bandwidth", l.Bandwidth)
	}
}

// name fills in a name and checks that it is given once.
func (c *checker) name(p place, name *string, otherwise string, names map[string]bool) {
	if *name == "" {
		*name = otherwise
	}
	if names[*name] {
		c.fail(p.with("name"), "%q is given twice", *name)
	}
	names[*name] = true
}

func (c *checker) partitions(s *Scenario) {
	if len(s.Partitions) == 0 {
		s.Partitions = []Partition{{Rate: 3500}}
	}
	names := map[string]bool{}
	for i := range s.Partitions {
		x, p := &s.Partitions[i], place{"partitions", i}
		c.name(p, &x.Name, fmt.Sprintf("partition%d", i+1), names)
		defaults(c, p, "rate", &x.Rate, 3500)
		positive(c, p, "rate", x.Rate)
		notNegative(c, p, "depth", x.Depth)
		if x.Depth == 0 {
			x.Depth = max(1, int(math.Round(float64(x.Rate)/10)))
		}
		c.split(x, p.with("split"))
		if m := x.Merge; m != nil {
			p := p.with("merge")
			defaults(c, p, "after", &m.After, seconds(300))
			defaults(c, p, "below", &m.Below, 0.25)
			positive(c, p, "after", m.After)
			within(c, p, "below", m.Below, 0, 1)
		}
	}
}

func (c *checker) split(x *Partition, p place) {
	s := x.Split
	if s == nil {
		return
	}
	defaults(c, p, "into", &s.Into, 2)
	defaults(c, p, "by", &s.By, "keys")
	defaults(c, p, "pressure", &s.Pressure, 0.9)
	defaults(c, p, "limit", &s.Limit, 3500*Rate(s.Into))
	within(c, p, "into", s.Into, 2, 1000)
	if !slices.Contains([]string{"keys", "prefixes"}, s.By) {
		c.fail(p.with("by"), "is %q, must be keys or prefixes", s.By)
	}
	notNegative(c, p, "after", s.After)
	notNegative(c, p, "at", s.At)
	if (s.After > 0) == (s.At > 0) {
		c.fail(p, "needs either after or at, above 0")
	}
	within(c, p, "pressure", s.Pressure, 0, 1)
	within(c, p, "limit", s.Limit, x.Rate, 1e9)
}

func (c *checker) transfers(s *Scenario) {
	if len(s.Transfers) == 0 {
		c.fail(place{"transfers"}, "is missing: name at least one transfer with its workers")
	}
	names, groups := map[string]bool{}, map[string]bool{}
	for i := range s.Transfers {
		t, p := &s.Transfers[i], place{"transfers", i}
		c.name(p, &t.Name, fmt.Sprintf("transfer%d", i+1), names)
		defaults(c, p, "weight", &t.Weight, 1)
		defaults(c, p, "partSize", &t.PartSize, 8<<20)
		defaults(c, p, "archiveParts", &t.ArchiveParts, 100)
		within(c, p, "weight", t.Weight, 1, 1000)
		within(c, p, "tenantWeight", t.TenantWeight, 0, 1000)
		within(c, p, "tenantMost", t.TenantMost, 0, 1)
		positive(c, p, "partSize", t.PartSize)
		within(c, p, "archiveParts", t.ArchiveParts, 1, maxArchiveParts)
		notNegative(c, p, "archives", t.Archives)
		c.arrivals(s, t, p)
		c.prefixes(s, t, p)
		c.workers(s, t, p, groups)
	}
}

func (c *checker) arrivals(s *Scenario, t *Transfer, p place) {
	if t.Archives > 0 && len(t.Arrivals) > 0 {
		c.fail(p.with("archives"), "give either archives or arrivals")
	}
	for i := range t.Arrivals {
		a, p := &t.Arrivals[i], p.with("arrivals", i)
		notNegative(c, p, "at", a.At)
		within(c, p, "archives", a.Archives, 1, 1_000_000)
		notNegative(c, p, "every", a.Every)
		defaults(c, p, "until", &a.Until, s.Duration)
		notNegative(c, p, "until", a.Until)
		if a.Every > 0 && a.Every < seconds(0.01) {
			c.fail(p.with("every"), "must be at least 10ms")
		}
	}
}

func (c *checker) prefixes(s *Scenario, t *Transfer, p place) {
	if len(t.Prefixes) == 0 {
		t.Prefixes = []Prefix{{Partition: s.Partitions[0].Name, Count: 1}}
	}
	total, names := 0, map[string]bool{}
	for i := range t.Prefixes {
		x, p := &t.Prefixes[i], p.with("prefixes", i)
		c.name(p, &x.Name, fmt.Sprintf("p%d", i+1), names)
		defaults(c, p, "count", &x.Count, 1)
		within(c, p, "count", x.Count, 1, maxPrefixes)
		defaults(c, p, "partition", &x.Partition, s.Partitions[0].Name)
		if !s.hasPartition(x.Partition) {
			c.fail(p.with("partition"), "no partition is named %q", x.Partition)
		}
		total += x.Count
	}
	if total > maxPrefixes {
		c.fail(p.with("prefixes"), "are %d in all, must be at most %d", total, maxPrefixes)
	}
}

func (c *checker) workers(s *Scenario, t *Transfer, p place, names map[string]bool) {
	if len(t.Workers) == 0 {
		c.fail(p.with("workers"), "is missing: name at least one group of workers")
	}
	total := 0
	for i := range t.Workers {
		g, p := &t.Workers[i], p.with("workers", i)
		c.name(p, &g.Name, fmt.Sprintf("%s-workers%d", t.Name, i+1), names)
		within(c, p, "count", g.Count, 1, maxWorkers)
		defaults(c, p, "nic", &g.NIC, 10e9/8)
		positive(c, p, "nic", g.NIC)
		defaults(c, p, "maxInFlight", &g.MaxInFlight, 256)
		within(c, p, "maxInFlight", g.MaxInFlight, 1, 100_000)
		c.link(s, p, &g.Link)
		total += g.Count
	}
	if total > maxWorkers {
		c.fail(p.with("workers"), "are %d in all, must be at most %d", total, maxWorkers)
	}
}

// link fills in the first link, and checks that there is one of the name.
func (c *checker) link(s *Scenario, p place, link *string) {
	if *link == "" && len(s.Links) > 0 {
		*link = s.Links[0].Name
	}
	if !s.hasLink(*link) {
		c.fail(p.with("link"), "no link is named %q", *link)
	}
}

func (c *checker) tenants(s *Scenario) {
	names := map[string]bool{}
	for i := range s.Tenants {
		t, p := &s.Tenants[i], place{"tenants", i}
		c.name(p, &t.Name, fmt.Sprintf("tenant%d", i+1), names)
		defaults(c, p, "partition", &t.Partition, s.Partitions[0].Name)
		defaults(c, p, "partSize", &t.PartSize, 8<<20)
		defaults(c, p, "until", &t.Until, s.Duration)
		if !s.hasPartition(t.Partition) {
			c.fail(p.with("partition"), "no partition is named %q", t.Partition)
		}
		c.link(s, p, &t.Link)
		positive(c, p, "partSize", t.PartSize)
		within(c, p, "inFlight", t.InFlight, 0, 100_000)
		within(c, p, "rate", t.Rate, 0, 1e6)
		notNegative(c, p, "from", t.From)
		notNegative(c, p, "until", t.Until)
		if (t.InFlight > 0) == (t.Rate > 0) {
			c.fail(p, "needs either inFlight or rate, above 0")
		}
	}
}

func (c *checker) limits(s *Scenario) {
	before := Duration(-1)
	for i := range s.Limits {
		l, p := &s.Limits[i], place{"limits", i}
		within(c, p, "at", l.At, before+1, longest)
		before = l.At
		within(c, p, "bytes", l.Bytes, 0, 1e12)
		within(c, p, "requests", l.Requests, 0, 1e6)
		within(c, p, "inFlight", l.InFlight, 0, 100_000)
	}
}

func (c *checker) faults(s *Scenario) {
	kinds := []string{FaultThrottling, FaultTimeouts, FaultErrors, FaultHang, FaultCrash, FaultRestart, FaultIsolate, FaultManager, FaultAPI}
	kinds = append(kinds, lieKinds()...)
	for i := range s.Faults {
		f, p := &s.Faults[i], place{"faults", i}
		if !slices.Contains(kinds, f.Kind) {
			c.fail(p.with("kind"), "is %q, must be one of %v", f.Kind, kinds)
		}
		notNegative(c, p, "at", f.At)
		notNegative(c, p, "for", f.For)
		notNegative(c, p, "every", f.Every)
		notNegative(c, p, "count", f.Count)
		defaults(c, p, "until", &f.Until, s.Duration)
		if f.Every > 0 && f.Every < seconds(0.1) {
			c.fail(p.with("every"), "must be at least 100ms")
		}
		if f.Partition != "" && !s.hasPartition(f.Partition) {
			c.fail(p.with("partition"), "no partition is named %q", f.Partition)
		}
		if f.Workers != "" && !s.hasWorkers(f.Workers) {
			c.fail(p.with("workers"), "no group of workers is named %q", f.Workers)
		}
	}
}

func (s *Scenario) hasLink(name string) bool {
	return slices.ContainsFunc(s.Links, func(l Link) bool { return l.Name == name })
}

func (s *Scenario) hasPartition(name string) bool {
	return slices.ContainsFunc(s.Partitions, func(p Partition) bool { return p.Name == name })
}

func (s *Scenario) hasTransfer(name string) bool {
	return slices.ContainsFunc(s.Transfers, func(t Transfer) bool { return t.Name == name })
}

func (s *Scenario) hasWorkers(name string) bool {
	for _, t := range s.Transfers {
		if slices.ContainsFunc(t.Workers, func(g WorkerGroup) bool { return g.Name == name }) {
			return true
		}
	}
	return false
}
