package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"go.yaml.in/yaml/v3"
)

// VarietySeed draws the scenarios that are measured and documented.
const VarietySeed = 1

// Bounds of what Vary draws.
const (
	// wide is a link that limits nobody, 100 Gb/s in bytes per second.
	wide = 100e9 / 8
	// leastParts and mostParts are how many parts per second a link carries.
	leastParts, mostParts = 8, 1500
	// leastRate and mostRate are what a partition that limits admits, in requests per
	// second.
	leastRate, mostRate = 60, 1500
	// largePart and smallPart bound the payload of a request, in KiB: in general, and
	// where a partition limits.
	largePart, smallPart = 16 << 10, 1 << 10
)

// Vary draws random but realistic scenarios, that many, of all families in turn.
// Each is drawn from the seed and its place alone, and holds what a file may hold.
func Vary(seed uint64, count int) []*Scenario {
	var scenarios []*Scenario
	for i := range count {
		f := families()[i%len(families())]
		s := f.draw(draws{stream(seed, fmt.Sprintf("variety %d", i))})
		s.Name = fmt.Sprintf("v%03d-%s", i+1, f.name)
		if err := s.complete(); err != nil {
			panic(err)
		}
		s.Description = s.summary()
		scenarios = append(scenarios, s)
	}
	return scenarios
}

// family is a kind of scenario.
type family struct {
	name string
	draw func(draws) *Scenario
}

func families() []family {
	return []family{
		{"link", func(d draws) *Scenario { return d.onLink(1, 60, 300) }},
		{"policer", func(d draws) *Scenario { return d.onPolicer(1, 60, 300) }},
		{"policer-steps", draws.policerSteps},
		{"link-steps", draws.linkSteps},
		{"cold-partition", draws.coldPartition},
		{"split", draws.split},
		{"unlike", draws.unlike},
		{"unlike-one-link", draws.unlikeOneLink},
		{"competitor", draws.competitor},
		{"blackout", draws.blackout},
		{"uneven-workers", draws.unevenWorkers},
		{"manager-killed", draws.managerKilled},
		{"bursts", draws.bursts},
		{"link-and-policer", draws.linkAndPolicer},
		{"transfers", draws.severalTransfers},
	}
}

// complete fills in the defaults of a file, and checks the scenario as one that says
// every field that is not zero.
func (s *Scenario) complete() error {
	var root yaml.Node
	if err := root.Encode(s); err != nil {
		return fmt.Errorf("encode scenario %s: %w", s.Name, err)
	}
	dropZeros(&root)
	c := &checker{file: s.Name, root: &root}
	c.scenario(s)
	return errors.Join(c.errs...)
}

// dropZeros removes the fields that are zero or empty.
func dropZeros(n *yaml.Node) {
	for _, child := range n.Content {
		dropZeros(child)
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		value := n.Content[i+1]
		zero := len(value.Content) == 0
		if value.Kind == yaml.ScalarNode {
			zero = value.Tag == "!!null" || value.Value == "" || value.Value == "0"
		}
		if !zero {
			kept = append(kept, n.Content[i], value)
		}
	}
	n.Content = kept
}

// summary tells the reader the limits, the parts and who sends them.
func (s *Scenario) summary() string {
	var facts []string
	if b := s.Links[0].Bandwidth; b < wide {
		facts = append(facts, fmt.Sprintf("%.2f Gb/s", float64(b)*8/1e9))
	}
	var rates []string
	for _, p := range s.Partitions {
		rates = append(rates, fmt.Sprintf("%.0f", float64(p.Rate)))
	}
	if s.Partitions[0].Rate <= mostRate {
		facts = append(facts, strings.Join(rates, " + ")+" requests/s")
	}
	workers, prefixes := 0, 0
	for i := range s.Transfers {
		prefixes += s.Transfers[i].prefixCount()
		for _, g := range s.Transfers[i].Workers {
			workers += g.Count
		}
	}
	facts = append(facts,
		fmt.Sprintf("parts of %d KiB in %d ms", s.Transfers[0].PartSize>>10, int(1000*s.Service.Median.seconds())),
		fmt.Sprintf("transfers, workers, prefixes: %d, %d, %d", len(s.Transfers), workers, prefixes))
	return strings.Join(facts, "; ")
}

// draws is a source of randomness with what scenarios are drawn from.
type draws struct{ *rand.Rand }

// log draws between two bounds above zero, log-uniformly.
func (d draws) log(low, high float64) float64 { return low * math.Pow(high/low, d.Float64()) }

// seconds draws a number of whole seconds.
func (d draws) seconds(low, high float64) Duration { return seconds(math.Round(d.log(low, high))) }

// coin is true half of the time.
func (d draws) coin() bool { return d.IntN(2) == 0 }

// oneOf draws one of the choices; one given twice is drawn twice as often.
func oneOf[T any](d draws, choices ...T) T { return choices[d.IntN(len(choices))] }

// step draws a factor from 1.5 up to the most, or one over it.
func (d draws) step(most float64) float64 {
	if d.coin() {
		return d.log(1.5, most)
	}
	return 1 / d.log(1.5, most)
}

// both draws so that the value and its multiple are between two bounds.
func (d draws) both(low, high, factor float64) float64 {
	return d.log(low/min(1, factor), high/max(1, factor))
}

// partSize draws 256 KiB to so many KiB.
func (d draws) partSize(most float64) Size { return Size(math.Round(d.log(256, most))) << 10 }

func (d draws) prefixes() []Prefix { return []Prefix{{Count: oneOf(d, 1, 2, 4, 4, 8, 16)}} }

func (d draws) workers() []WorkerGroup {
	return []WorkerGroup{{Count: oneOf(d, 1, 2, 4, 4, 8, 16, 32)}}
}

// unlimited draws a run of so many seconds, at least and at most, with one transfer of
// parts of at most so many KiB, that nothing limits yet. The median service time is 30
// to 400 ms.
func (d draws) unlimited(most, least, longest float64) *Scenario {
	s := &Scenario{Duration: d.seconds(least, longest)}
	s.Service.Median = seconds(math.Round(d.log(30, 400)) / 1000)
	s.Service.Sigma = oneOf(d, 0.2, 0.35, 0.5)
	s.Links = []Link{{Name: "egress", Bandwidth: wide}}
	s.Transfers = []Transfer{{PartSize: d.partSize(most), ArchiveParts: 100, Prefixes: d.prefixes(), Workers: d.workers()}}
	return s
}

// onLink draws a run that a link of 0.3 to 20 Gb/s limits, also once its bandwidth
// is multiplied by the factor.
func (d draws) onLink(factor, least, longest float64) *Scenario {
	s := d.unlimited(largePart, least, longest)
	size := float64(s.Transfers[0].PartSize)
	low, high := leastParts*size/min(1, factor), mostParts*size/max(1, factor)
	s.Links[0].Bandwidth = Bandwidth(max(low, min(high, d.both(0.3e9/8, 20e9/8, factor))))
	return s
}

// onPolicer draws a run that a partition of 60 to 1500 requests per second limits,
// also once its rate is multiplied by the factor.
func (d draws) onPolicer(factor, least, longest float64) *Scenario {
	s := d.unlimited(smallPart, least, longest)
	s.Partitions = []Partition{{Name: "bucket", Rate: Rate(d.both(leastRate, mostRate, factor))}}
	return s
}

// onEither draws a run that a link or a policer limits.
func (d draws) onEither(least, longest float64) *Scenario {
	if d.coin() {
		return d.onLink(1, least, longest)
	}
	return d.onPolicer(1, least, longest)
}

// policerSteps changes the rate by a factor of 1.5 to 8, up or down, from 60 to 120 s.
func (d draws) policerSteps() *Scenario {
	factor := d.step(8)
	s := d.onPolicer(factor, 180, 300)
	rate := s.Partitions[0].Rate
	s.Changes = []Change{
		{At: seconds(60), Partition: "bucket", Rate: rate * Rate(factor)},
		{At: seconds(120), Partition: "bucket", Rate: rate},
	}
	return s
}

// linkSteps changes the bandwidth by a factor of 1.5 to 6, up or down, from 60 to 120 s.
func (d draws) linkSteps() *Scenario {
	factor := d.step(6)
	s := d.onLink(factor, 180, 300)
	bandwidth := s.Links[0].Bandwidth
	s.Changes = []Change{
		{At: seconds(60), Link: "egress", Bandwidth: bandwidth * Bandwidth(factor)},
		{At: seconds(120), Link: "egress", Bandwidth: bandwidth},
	}
	return s
}

// coldPartition doubles after 30 to 100 s at 80 to 90 % of its rate, up to two, four or
// eight times.
func (d draws) coldPartition() *Scenario {
	most := oneOf(d, 2., 4, 8)
	s := d.onPolicer(most, 180, 300)
	p := &s.Partitions[0]
	p.Split = &Split{
		Into: 2, By: "keys", After: d.seconds(30, 100), Pressure: Share(d.log(0.8, 0.9)), Limit: p.Rate * Rate(most),
	}
	return s
}

// split gives 4 to 16 prefixes to two or four partitions, at 40 or 90 s.
func (d draws) split() *Scenario {
	into := oneOf(d, 2, 4)
	s := d.onPolicer(float64(into), 120, 300)
	p := &s.Partitions[0]
	p.Split = &Split{Into: into, By: splitByPrefixes, At: oneOf(d, seconds(40), seconds(90)), Limit: p.Rate * Rate(into)}
	s.Transfers[0].Prefixes[0].Count = oneOf(d, 4, 4, 8, 16)
	return s
}

// unlike draws 2 to 6 partitions of 40 to 900 requests per second each, for one
// transfer with 1 to 3 prefixes on each, or for one transfer each.
func (d draws) unlike() *Scenario {
	s := d.unlimited(smallPart, 60, 300)
	for i := range oneOf(d, 2, 3, 4, 6) {
		s.Partitions = append(s.Partitions, Partition{Name: fmt.Sprintf("p%d", i+1), Rate: Rate(d.log(40, 900))})
	}
	first := s.Transfers[0]
	if d.coin() {
		s.Transfers[0].Prefixes = nil
		for _, p := range s.Partitions {
			s.Transfers[0].Prefixes = append(s.Transfers[0].Prefixes, Prefix{Name: p.Name, Partition: p.Name, Count: 1 + d.IntN(3)})
		}
		return s
	}
	s.Transfers = nil
	for _, p := range s.Partitions {
		s.Transfers = append(s.Transfers, Transfer{
			Name: "t" + p.Name, Weight: oneOf(d, 1, 1, 2, 4), PartSize: first.PartSize, ArchiveParts: first.ArchiveParts,
			Prefixes: []Prefix{{Partition: p.Name}}, Workers: []WorkerGroup{{Count: 1 + d.IntN(4)}},
		})
	}
	return s
}

// unlikeOneLink is the same behind a link for 40 to 95 % of what they admit.
func (d draws) unlikeOneLink() *Scenario {
	s := d.unlike()
	s.Links[0].Bandwidth = Bandwidth(d.log(0.4, 0.95)) * s.admitted()
	return s
}

// admitted is what all partitions admit, in bytes per second.
func (s *Scenario) admitted() Bandwidth {
	sum := Rate(0)
	for _, p := range s.Partitions {
		sum += p.Rate
	}
	return Bandwidth(sum) * Bandwidth(s.Transfers[0].PartSize)
}

// competitor is on the partition from 60 to 180 s, with 20 to 70 % of its rate, or with 4
// to 16 requests in flight, where it admits at least 300 per second.
func (d draws) competitor() *Scenario {
	s := d.onPolicer(1, 240, 300)
	p := &s.Partitions[0]
	other := Tenant{Name: "other", Partition: "bucket", PartSize: 64 << 10, From: seconds(60), Until: seconds(180)}
	if d.coin() {
		other.Rate = p.Rate * Rate(d.log(0.2, 0.7))
	} else {
		p.Rate = Rate(d.log(300, mostRate))
		other.InFlight = 4 + d.IntN(13)
	}
	s.Tenants = []Tenant{other}
	return s
}

// blackout begins at 60 s and takes 2 to 60 s; clients give requests up after 10 or 30 s.
func (d draws) blackout() *Scenario {
	s := d.onEither(180, 300)
	s.RequestTimeout = oneOf(d, seconds(10), seconds(30))
	s.Faults = []Fault{{
		Kind: oneOf(d, FaultThrottling, FaultTimeouts, FaultErrors), At: seconds(60), For: d.seconds(2, 60),
	}}
	return s
}

// unevenWorkers are 6 to 24, a sixth to a third of them with a NIC of 5 to 60 % of an
// even share of the link; one of the others has a fault from 30 to 50 s.
func (d draws) unevenWorkers() *Scenario {
	s := d.onLink(1, 90, 300)
	count := 6 + d.IntN(19)
	slow := int(math.Round(float64(count) * d.log(1./6, 1./3)))
	s.Transfers[0].Workers = []WorkerGroup{
		{Name: "good", Count: count - slow},
		{Name: "slow", Count: slow, NIC: s.Links[0].Bandwidth / Bandwidth(count) * Bandwidth(d.log(0.05, 0.6))},
	}
	s.Faults = []Fault{{
		Kind: oneOf(d, FaultHang, FaultCrash, FaultRestart, FaultIsolate), At: seconds(30), For: seconds(20),
		Workers: "good", Count: 1,
	}}
	return s
}

// managerKilled is every 60 s, for 3 or 15 s; 1 to 10 % of the messages are lost.
func (d draws) managerKilled() *Scenario {
	s := d.onEither(180, 300)
	s.Faults = []Fault{{Kind: FaultManager, At: seconds(60), Every: seconds(60), For: oneOf(d, seconds(3), seconds(15))}}
	s.Messages.Loss = Share(d.log(0.01, 0.1))
	return s
}

// bursts are what the link carries in about two seconds, every 10 s until 110 s; from
// 120 s on there is half as much again as it can carry.
func (d draws) bursts() *Scenario {
	s := d.onLink(1, 180, 300)
	t := &s.Transfers[0]
	t.ArchiveParts = 8
	worth := func(time Duration) int {
		return int(math.Ceil(float64(s.Links[0].Bandwidth) * time.seconds() / float64(t.archiveSize())))
	}
	t.Arrivals = []Arrival{
		{Archives: worth(seconds(2)), Every: seconds(10), Until: seconds(110)},
		{At: seconds(120), Archives: worth((s.Duration - seconds(120)) * 3 / 2)},
	}
	return s
}

// linkAndPolicer has a link for 0.8 to 1.3 times what the policer admits, and from half
// of the time on for 0.5 to 1.5 times.
func (d draws) linkAndPolicer() *Scenario {
	s := d.onPolicer(1, 120, 300)
	s.Links[0].Bandwidth = s.admitted() * Bandwidth(d.log(0.8, 1.3))
	s.Changes = []Change{{At: s.Duration / 2, Link: "egress", Bandwidth: s.admitted() * Bandwidth(d.log(0.5, 1.5))}}
	return s
}

// severalTransfers are 2, 3 or 5 of weights 1, 2 and 4 with 1 to 8 workers each; a third
// of those after the first have only 2 to 20 archives.
func (d draws) severalTransfers() *Scenario {
	s := d.onEither(60, 300)
	first := s.Transfers[0]
	s.Transfers = nil
	for i := range oneOf(d, 2, 3, 5) {
		t := first
		t.Name, t.Weight = fmt.Sprintf("t%d", i+1), oneOf(d, 1, 2, 4)
		t.Prefixes, t.Workers = d.prefixes(), []WorkerGroup{{Count: oneOf(d, 1, 2, 4, 8)}}
		if i > 0 && d.IntN(3) == 0 {
			t.Archives = 2 + d.IntN(19)
		}
		s.Transfers = append(s.Transfers, t)
	}
	return s
}
