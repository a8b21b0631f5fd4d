package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Result is what one run gave, by metric; a metric that does not apply is absent.
type Result map[string]float64

// Metric is one result of a run.
type Metric struct {
	Name, Unit, Meaning string
}

// Metrics describes all results, in the order in which they are told.
func Metrics() []Metric {
	return []Metric{
		{"goodputOfOracle", "1", "useful bytes per second over the oracle's: bytes of accepted parts, each counted once, of archives that were not given up, until the end of the run or the end of the work"},
		{"archiveSuccess", "1", "archives sent whole, of those that ended"},
		{"throttledShare", "1", "requests answered 503, of those that ended"},
		{"wastedShare", "1", "requests that stored nothing, of those that ended"},
		{"timeTo90", "s", "until the next two seconds carry 90 % of what the oracle does in them"},
		{"recoverySeconds", "s", "the same, from each disturbance on; the longest"},
		{"p50OverIdle", "1", "median time of an accepted request, over that of one that waits for nobody"},
		{"p99OverIdle", "1", "99th percentile of the same, likewise"},
		{"jain", "1", "Jain's index over the transfers (with one transfer its prefixes) of bytes over the oracle's"},
		{"windowCV", "1", "standard deviation of the windows in force over their mean, after the first 20 s"},
		{"requestsPerGB", "1/GB", "requests begun per 10^9 useful bytes"},
		{"ttfbP50", "s", "median time from the start of an accepted request to the first byte of its answer"},
		{"serviceP50", "s", "median service time"},
		{"cutsPerHour", "1/h", "cuts and recoveries of the coordinator"},
		{"reuseSeconds", "s", "from when workers hang until the others are granted nine tenths of the window again; the longest"},
		{"apiRequests", "1/s", "requests to the API server per second, retries included"},
		{"apiRejected", "1", "those of them that it answered 429"},
		{"violations", "1", "violations of I1 to I9"},
	}
}

func metricNames() []string {
	var names []string
	for _, m := range Metrics() {
		names = append(names, m.Name)
	}
	return names
}

func isMetric(name string) bool { return slices.Contains(metricNames(), name) }

// Target is a condition on a metric, written as ">= 0.97" or "<= 6".
type Target struct {
	Operator string
	Value    float64
}

// UnmarshalYAML reads an operator and a number, which may be a percentage or a
// duration.
func (t *Target) UnmarshalYAML(n *yaml.Node) error {
	for _, operator := range []string{">=", "<=", "==", ">", "<"} {
		rest, ok := strings.CutPrefix(strings.TrimSpace(n.Value), operator)
		if !ok {
			continue
		}
		value, err := targetValue(strings.TrimSpace(rest))
		if err == nil {
			*t = Target{operator, value}
			return nil
		}
	}
	return unitError(n, `a condition such as ">= 0.97" or "<= 6s"`)
}

func targetValue(text string) (float64, error) {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		value, err := strconv.ParseFloat(number, 64)
		return value / 100, err
	}
	if d, err := time.ParseDuration(text); err == nil {
		return d.Seconds(), nil
	}
	return strconv.ParseFloat(text, 64)
}

// Met tells whether a value meets the target.
func (t Target) Met(value float64) bool {
	switch t.Operator {
	case ">=":
		return value >= t.Value
	case "<=":
		return value <= t.Value
	case ">":
		return value > t.Value
	case "<":
		return value < t.Value
	default:
		return value == t.Value
	}
}

func (t Target) String() string { return fmt.Sprintf("%s %.6g", t.Operator, t.Value) }

// results judges a run against the optimum.
func (r *run) results(best *optimum) Result {
	c := r.record
	result := Result{"violations": float64(r.check.violations)}
	useful, done, failed := 0.0, int64(0), int64(0)
	for _, w := range r.works {
		useful += w.bytes
		done += w.done
		failed += w.failed
	}
	end := time.Duration(r.scenario.Duration)
	if best.total > 0 {
		result["goodputOfOracle"] = useful / best.total * best.finish.Seconds() / r.finished(best, end).Seconds()
	}
	if done+failed > 0 {
		result["archiveSuccess"] = float64(done) / float64(done+failed)
	}
	if ended := float64(c.accepted + c.throttled + c.failed); ended > 0 {
		result["throttledShare"] = float64(c.throttled) / ended
		result["wastedShare"] = float64(c.throttled+c.failed) / ended
	}
	if useful > 0 {
		result["requestsPerGB"] = float64(c.begun) / (useful / 1e9)
	}
	r.latencies(result)
	result["timeTo90"] = r.timeTo90(best, 0)
	for _, at := range c.disturbances {
		if at > 0 && at < end-2*time.Second {
			result["recoverySeconds"] = max(result["recoverySeconds"], r.timeTo90(best, at))
		}
	}
	result["jain"] = r.jain(best)
	if cv, ok := c.windowCV(); ok {
		result["windowCV"] = cv
	}
	if r.conclude != nil {
		result["cutsPerHour"] = float64(c.cuts) / end.Hours()
	}
	if c.api != nil {
		result["apiRequests"] = float64(c.api.calls) / end.Seconds()
		result["apiRejected"] = float64(c.api.rejected) / float64(max(1, c.api.calls))
	}
	if c.reused >= 0 {
		result["reuseSeconds"] = c.reused.Seconds()
	}
	return result
}

// finished is when all work was done, or the end of the run.
func (r *run) finished(best *optimum, end time.Duration) time.Duration {
	if !r.scenario.finite() {
		return end
	}
	for _, w := range r.works {
		if w.done+w.failed < int64(w.appeared) {
			return end
		}
	}
	return max(r.record.last, binWidth)
}

// latencies compares with requests that wait for nobody. Where parts of several
// sizes are sent, with the mean of their times.
func (r *run) latencies(result Result) {
	c := r.record
	if c.accepted == 0 {
		return
	}
	s := r.scenario
	phases := r.phases()
	var p50, p99, weight float64
	for i := range s.Transfers {
		for _, g := range s.Transfers[i].Workers {
			requests := idleRequests(phases, i, min(float64(s.ConnectionRate), float64(g.NIC)))
			n := float64(g.Count)
			p50 += n * requests.quantile(0.5)
			p99 += n * requests.quantile(0.99)
			weight += n
		}
	}
	result["p50OverIdle"] = c.attempt.quantile(0.5).Seconds() / (p50 / weight)
	result["p99OverIdle"] = c.attempt.quantile(0.99).Seconds() / (p99 / weight)
	result["ttfbP50"] = c.attempt.quantile(0.5).Seconds()
	result["serviceP50"] = c.service.quantile(0.5).Seconds()
}

// timeTo90 is how long after a time it takes until two seconds carry 90 % of what
// the oracle does in them; the rest of the run where that never happens.
func (r *run) timeTo90(best *optimum, from time.Duration) float64 {
	const bins = int(2 * time.Second / binWidth)
	first := int(from / binWidth)
	last := int(time.Duration(r.scenario.Duration) / binWidth)
	for i := first; i+bins <= last; i++ {
		got, wanted := 0.0, 0.0
		for n := i; n < i+bins; n++ {
			got += r.record.bins[n].bytes
			wanted += best.rates[n] * binWidth.Seconds()
		}
		if got >= 0.9*wanted && wanted > 0 {
			return (time.Duration(i)*binWidth - from).Seconds()
		}
	}
	return (time.Duration(r.scenario.Duration) - from).Seconds()
}

// jain is Jain's index of what the parties got over what the oracle gives them.
func (r *run) jain(best *optimum) float64 {
	var sum, squares, n float64
	add := func(got, wanted float64) {
		if wanted > 0 {
			x := got / wanted
			sum += x
			squares += x * x
			n++
		}
	}
	for i, w := range r.works {
		if len(r.works) > 1 {
			add(w.bytes, best.transfers[i])
			continue
		}
		for j, p := range w.prefixes {
			add(p.bytes, best.prefixes[i][j])
		}
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (n * squares)
}

// windowCV is the coefficient of variation of the windows in force.
func (c *recorder) windowCV() (float64, bool) {
	const settled = int(20 * time.Second / binWidth)
	if len(c.bins) <= settled+1 {
		return 0, false
	}
	var sum, squares, n float64
	for _, b := range c.bins[settled : len(c.bins)-1] {
		w := float64(b.window)
		sum += w
		squares += w * w
		n++
	}
	mean := sum / n
	if mean == 0 {
		return 0, false
	}
	return math.Sqrt(max(0, squares/n-mean*mean)) / mean, true
}

// Interval is the median over seeds, with a 95 % bootstrap interval.
type Interval struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// median of values, which are sorted.
func median(values []float64) float64 {
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// resamples of the bootstrap.
const resamples = 1000

// interval is the median with its percentile bootstrap interval (Efron 1979).
func interval(values []float64, seed uint64) Interval {
	slices.SortFunc(values, cmp.Compare[float64])
	x := Interval{median(values), values[0], values[0]}
	random := stream(seed, "bootstrap")
	medians := make([]float64, resamples)
	sample := make([]float64, len(values))
	for i := range medians {
		for j := range sample {
			sample[j] = values[random.IntN(len(values))]
		}
		slices.Sort(sample)
		medians[i] = median(sample)
	}
	slices.Sort(medians)
	x.Low, x.High = medians[resamples*25/1000], medians[resamples*975/1000-1]
	return x
}
