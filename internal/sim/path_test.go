package sim

import (
	"math"
	"strings"
	"testing"
	"time"
)

// near tells that a value is within a share of what is wanted.
func near(got, wanted, tolerance float64) bool { return math.Abs(got-wanted) <= tolerance*wanted }

func parse(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func runOne(t *testing.T, s *Scenario, controller string) Result {
	t.Helper()
	c, err := FindController(controller)
	if err != nil {
		t.Fatal(err)
	}
	return simulate(s, solve(s), c, 1, false).results
}

// However much is offered, a policer accepts its depth and then its rate.
func TestPolicerAcceptsItsRate(t *testing.T) {
	for _, offered := range []float64{100, 401, 5000} {
		p := newPolicer(400, 40, 0)
		accepted := 0.0
		gap := time.Duration(float64(time.Second) / offered)
		for at := time.Duration(0); at < time.Minute; at += gap {
			if p.admit(at) {
				accepted++
			}
		}
		wanted := min(offered*60, 400*60+40)
		if !near(accepted, wanted, 0.001) {
			t.Errorf("%.0f of %.0f per second: %.0f accepted in a minute, want %.0f", accepted, offered, accepted, wanted)
		}
	}
}

// Three bodies on a link of 90 bytes per second, of hosts bound to 10, 100 and 100:
// the first gets 10, the others 40 each (max-min).
func TestLinkSharesByMaxMin(t *testing.T) {
	var a agenda
	l := newLink(&a, 90)
	ended := map[string]float64{}
	send := func(name string, nic, bytes float64) {
		b := &body{}
		b.done = func() { ended[name] = a.now.Seconds() }
		l.host(nic, 1000).send(b, bytes)
	}
	send("slow", 10, 100)
	send("short", 100, 200)
	send("long", 100, 600)
	for a.next(time.Hour) {
	}
	// short: 200/40. Then long has 80 to itself: 400 of 600 are left at 5 s.
	for name, wanted := range map[string]float64{"slow": 10, "short": 5, "long": 10} {
		if !near(ended[name], wanted, 1e-6) {
			t.Errorf("%s ended after %.6f s, want %.6f", name, ended[name], wanted)
		}
	}
}

// The bodies of one host share its NIC, each bound by its connection, and one that
// is stopped leaves its share to the rest.
func TestHostSharesItsNIC(t *testing.T) {
	var a agenda
	h := newLink(&a, 1e9).host(100, 80)
	var first, last float64
	x, y := &body{}, &body{done: func() { last = a.now.Seconds() }}
	x.done = func() { first = a.now.Seconds() }
	h.send(x, 1000)
	h.send(y, 1000)
	a.after(10*time.Second, x.stop) // both have sent 500 by then
	for a.next(time.Hour) {
	}
	if first != 0 || !near(last, 10+500.0/80, 1e-6) {
		t.Errorf("the stopped body ended at %v, the other at %v, want %v", first, last, 10+500.0/80)
	}
}

const idlePath = `
duration: 100s
links: [{bandwidth: 1000Gbps}]
partitions: [{rate: 100000/s}]
transfers: [{partSize: 1MiB, workers: [{count: 2, nic: 1000Gbps}]}]
`

// Where nothing is scarce a window of n makes n requests per mean time (Little's law).
func TestClosedLoopKeepsLittlesLaw(t *testing.T) {
	s := parse(t, idlePath)
	result := runOne(t, s, "fixed-16")
	mean := s.Service.idleMean(1<<20, 85e6)
	if got, wanted := result["requestsPerGB"], 1e9/(1<<20); !near(got, wanted, 0.01) {
		t.Errorf("%.1f requests per GB, want %.1f", got, wanted)
	}
	best := solve(s)
	if got, wanted := result["goodputOfOracle"]*best.total/100, 32*(1<<20)/mean; !near(got, wanted, 0.02) {
		t.Errorf("%.4g bytes per second, want %.4g", got, wanted)
	}
	for _, name := range []string{"p50OverIdle", "p99OverIdle"} {
		if !near(result[name], 1, 0.04) {
			t.Errorf("%s is %.3f on an idle path", name, result[name])
		}
	}
	if !near(result["serviceP50"], 0.12, 0.04) {
		t.Errorf("median service time %.4f s, want 0.12", result["serviceP50"])
	}
}

// oracleTest is a scenario, and the bytes that the oracle sends in it.
type oracleTest struct {
	text  string
	total float64
}

func TestOracle(t *testing.T) {
	tests := map[string]oracleTest{
		"link": {`
duration: 100s
links: [{bandwidth: 100MB/s}]
transfers: [{workers: [{count: 1}]}]`, 100e6 * 100},
		"policer that halves": {`
duration: 100s
links: [{bandwidth: 1000Gbps}]
partitions: [{name: a, rate: 100/s}]
changes: [{at: 50s, partition: a, rate: 50/s}]
transfers: [{partSize: 1MB, workers: [{count: 1}]}]`, 1e6 * (100*50 + 50*50)},
		"NICs": {`
duration: 100s
links: [{bandwidth: 1000Gbps}]
transfers: [{workers: [{count: 3, nic: 10MB/s}]}]`, 30e6 * 100},
		"memory": {`
duration: 100s
service: {sigma: 0, slowShare: 0}
connectionRate: 100MB/s
links: [{bandwidth: 1000Gbps}]
transfers: [{partSize: 1MB, workers: [{count: 2, maxInFlight: 3}]}]`, 2 * 3 * 1e6 / 0.13 * 100},
		"blackout and tenant": {`
duration: 100s
links: [{bandwidth: 1000Gbps}]
partitions: [{name: a, rate: 100/s}]
faults: [{kind: throttling, at: 10s, for: 20s}]
tenants: [{rate: 30/s, from: 50s}]
transfers: [{partSize: 1MB, workers: [{count: 1}]}]`, 1e6 * (100*30 + 70*50)},
		"splits": {`
duration: 100s
links: [{bandwidth: 1000Gbps}]
partitions: [{rate: 100/s, split: {after: 30s, limit: 400/s}}]
transfers: [{partSize: 1MB, workers: [{count: 1}]}]`, 1e6 * (100*30 + 200*30 + 400*40)},
		"a service that slows down": {`
duration: 100s
service: {sigma: 0, slowShare: 0, median: 120ms}
connectionRate: 100MB/s
links: [{bandwidth: 1000Gbps}]
changes: [{at: 30s, service: {median: 490ms}}]
transfers: [{partSize: 1MB, workers: [{count: 2, maxInFlight: 3}]}]`, 2 * 3 * 1e6 * (30/0.13 + 70/0.5)},
		"parts that shrink": {`
duration: 100s
links: [{bandwidth: 1000Gbps}]
partitions: [{rate: 100/s}]
changes: [{at: 30s, transfer: t, partSize: 250kB}]
transfers: [{name: t, partSize: 1MB, workers: [{count: 1}]}]`, 1e6 * (100*30 + 25*70)},
		"work that ends": {`
duration: 100s
links: [{bandwidth: 100MB/s}]
transfers: [{partSize: 1MB, archiveParts: 10, archives: 20, workers: [{count: 1}]}]`, 200e6},
	}
	for name, test := range tests {
		if best := solve(parse(t, test.text)); !near(best.total, test.total, 0.015) {
			t.Errorf("%s: %.4g bytes, want %.4g", name, best.total, test.total)
		}
	}
}

// Weights 1 and 3 on a link, where the first may have no more than its policer.
func TestOracleIsWeightedMaxMin(t *testing.T) {
	s := parse(t, `
duration: 10s
links: [{bandwidth: 100MB/s}]
partitions: [{name: a, rate: 10/s}, {name: b, rate: 1000/s}]
transfers:
- {name: x, weight: 1, partSize: 1MB, prefixes: [{partition: a}], workers: [{count: 1}]}
- {name: y, weight: 1, partSize: 1MB, prefixes: [{partition: b}], workers: [{count: 1}]}
- {name: z, weight: 3, partSize: 1MB, prefixes: [{partition: b}], workers: [{count: 1}]}`)
	best := solve(s)
	for i, wanted := range []float64{100e6, 225e6, 675e6} {
		if !near(best.transfers[i], wanted, 1e-6) {
			t.Errorf("transfer %d gets %.4g bytes, want %.4g", i, best.transfers[i], wanted)
		}
	}
}

func TestPartitionSplitsUnderPressureAndMergesWhenIdle(t *testing.T) {
	p := newPartition(Partition{
		Rate: 100, Depth: 10,
		Split: &Split{Into: 2, By: "keys", After: seconds(20), Pressure: 0.9, Limit: 400},
		Merge: &Merge{After: seconds(30), Below: 0.25},
	})
	offer := func(from, to int, rate float64) {
		for s := from; s < to; s++ {
			p.judge(time.Duration(s)*time.Second, rate)
		}
	}
	for _, step := range []struct {
		from, to int
		rate     float64
		parts    int
	}{{0, 19, 95, 1}, {19, 20, 95, 2}, {20, 80, 150, 2}, {80, 100, 190, 4}, {100, 200, 390, 4}, {200, 229, 50, 4}, {229, 231, 50, 1}} {
		if offer(step.from, step.to, step.rate); p.parts != step.parts {
			t.Errorf("%d parts after %d s, want %d", p.parts, step.to, step.parts)
		}
	}
}

func TestBadScenarios(t *testing.T) {
	const good = `
links: [{name: l, bandwidth: 10Gbps}]
transfers:
- workers:
  - {count: 1}
`
	tests := map[string]struct {
		text string
		want []string // parts of the message
	}{
		"unknown field":      {good + "speed: 3\n", []string{"test.yaml:6:", `"speed"`}},
		"unknown in a list":  {strings.Replace(good, "count: 1", "count: 1, gpu: 3", 1), []string{"test.yaml:5:", `"gpu"`}},
		"negative rate":      {good + "partitions:\n- {rate: -5/s}\n", []string{"test.yaml:7:", "partitions[0].rate", "above 0"}},
		"missing links":      {"duration: 5s\ntransfers: [{workers: [{count: 1}]}]\n", []string{"test.yaml:1:", "links", "missing"}},
		"missing bandwidth":  {strings.Replace(good, ", bandwidth: 10Gbps", "", 1), []string{"test.yaml:2:", "links[0].bandwidth", "missing"}},
		"link of no name":    {strings.Replace(good, "count: 1", "count: 1, link: other", 1), []string{"test.yaml:5:", "transfers[0].workers[0].link", `"other"`}},
		"zero workers":       {strings.Replace(good, "count: 1", "count: 0", 1), []string{"test.yaml:5:", "transfers[0].workers[0].count"}},
		"no workers":         {"links: [{bandwidth: 1Gbps}]\ntransfers:\n- {name: a}\n", []string{"test.yaml:3:", "transfers[0].workers", "missing"}},
		"no unit":            {strings.Replace(good, "10Gbps", "10", 1), []string{"test.yaml:2:", `"10"`, "bandwidth"}},
		"not a number":       {good + "partitions: [{rate: NaN/s}]\n", []string{"test.yaml:6:", "NaN/s"}},
		"wrong type":         {good + "partitions: 5\n", []string{"test.yaml:6:"}},
		"no YAML":            {"links: [", []string{"test.yaml:1:"}},
		"empty":              {"", []string{"test.yaml:1:", "links"}},
		"two documents":      {good + "---\nlinks: []\n", []string{"test.yaml:6:", "one document"}},
		"unknown target":     {good + "targets: {speed: \">= 1\"}\n", []string{"test.yaml:6:", "targets.speed"}},
		"target of no sense": {good + "targets: {jain: fast}\n", []string{"test.yaml:6:", `"fast"`}},
		"unknown fault":      {good + "faults:\n- {kind: flood}\n", []string{"test.yaml:7:", "faults[0].kind"}},
		"change of nothing":  {good + "changes:\n- {at: 3s}\n", []string{"test.yaml:7:", "changes[0]"}},
		"change of two":      {good + "changes:\n- {at: 3s, link: l, bandwidth: 1Gbps, service: {median: 1s}}\n", []string{"test.yaml:7:", "changes[0]", "needs one of"}},
		"same service":       {good + "changes:\n- {at: 3s, service: {median: 120ms}}\n", []string{"test.yaml:7:", "changes[0].service", "changes nothing"}},
		"service of no time": {good + "changes:\n- {at: 3s, service: {median: 0s}}\n", []string{"test.yaml:7:", "changes[0].service.median", "above 0"}},
		"error share of two": {good + "changes:\n- {at: 3s, service: {errorShare: 2}}\n", []string{"test.yaml:7:", "changes[0].service.errorShare", "between 0 and 1"}},
		"parts of nobody":    {good + "changes:\n- {at: 3s, partSize: 1MiB}\n", []string{"test.yaml:7:", "changes[0].partSize", "transfer, which is not named"}},
		"parts of whom":      {good + "changes:\n- {at: 3s, transfer: x, partSize: 1MiB}\n", []string{"test.yaml:7:", "changes[0].transfer", `"x"`}},
		"part of no size":    {good + "changes:\n- {at: 3s, transfer: transfer1}\n", []string{"test.yaml:7:", "changes[0].partSize", "missing"}},
		"part too large":     {good + "changes:\n- {at: 3s, transfer: transfer1, partSize: 1GiB}\n", []string{"test.yaml:7:", "changes[0].partSize", "838860800 bytes of an archive"}},
		"parts too many":     {good + "changes:\n- {at: 3s, transfer: transfer1, partSize: 1kB}\n", []string{"test.yaml:7:", "changes[0].partSize", "838861 parts"}},
		"api of no rate":     {good + "api: {latency: 1s}\n", []string{"test.yaml:6:", "api.requests", "missing"}},
		"api without queue":  {good + "api: {requests: 10/s, queue: 0}\n", []string{"test.yaml:6:", "api.queue", "between 1"}},
		"api of an hour":     {good + "api: {requests: 10/s, latency: 1h}\n", []string{"test.yaml:6:", "api.latency", "between 0"}},
		"api and loss":       {good + "api: {requests: 10/s}\nmessages: {loss: 1%}\n", []string{"test.yaml:7:", "messages.loss", "where there is an api"}},
		"share above one":    {good + "messages: {loss: 150%}\n", []string{"test.yaml:6:", "messages.loss"}},
		"duplicate names":    {good + "partitions: [{name: a}, {name: a}]\n", []string{"test.yaml:6:", "partitions[1].name", "twice"}},
	}
	for name, test := range tests {
		wantRejected(t, name, test.text, test.want)
	}
}

// wantRejected wants a scenario to be an error that says all of it, in the words of the file.
func wantRejected(t *testing.T, name, text string, want []string) {
	t.Helper()
	_, err := Parse("test.yaml", []byte(text))
	if err == nil {
		t.Errorf("%s: no error", name)
		return
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: the error does not say %q: %v", name, part, err)
		}
	}
	if strings.Contains(err.Error(), "sim.") || strings.Contains(err.Error(), "yaml:") && !strings.Contains(err.Error(), "test.yaml:") {
		t.Errorf("%s: the error speaks of the code: %v", name, err)
	}
}
