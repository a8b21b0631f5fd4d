package congestion_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"cargoship.dev/operator/internal/coordination/congestion"
)

// world answers a controller as a path and policers would: all that a window and rates
// allow is in flight, and what a line of a transcript does not say follows from Little's law.
type world struct {
	members  []*congestion.Member
	latency  time.Duration // of a request that waits in no queue
	capacity float64       // of the path in requests per second; 0 for no bound
	length   time.Duration // of a round
	policers []policer
}

// policer accepts so many requests per second of some prefixes.
type policer struct {
	prefixes []string
	rate     float64
}

// path changes the path.
func (w *world) path(t *testing.T, d *datadriven.TestData) {
	w.latency = duration(t, d, "latency", w.latency)
	w.length = duration(t, d, "length", w.length)
	if arg, ok := d.Arg("capacity"); ok {
		capacity, err := parseRate(arg.Vals[0])
		if err != nil {
			d.Fatalf(t, "capacity: %v", err)
		}
		w.capacity = capacity
	}
}

// police sets the policers, one a line: the prefixes and the rate.
func (w *world) police(t *testing.T, d *datadriven.TestData) {
	w.policers = nil
	for _, line := range lines(d.Input) {
		words := strings.Fields(line)
		rate, err := parseRate(words[len(words)-1])
		if err != nil {
			d.Fatalf(t, "%s: %v", line, err)
		}
		w.policers = append(w.policers, policer{words[:len(words)-1], rate})
	}
}

// answer is the signal of a round, of all prefixes and of each.
func (w *world) answer(c *congestion.GlobalCongestionController, r round) congestion.Signal {
	inFlight := int(r.all.number("inflight", float64(w.inFlight(c))))
	base := w.latency.Seconds()
	latency := base
	if w.capacity > 0 {
		latency = max(latency, float64(inFlight)/w.capacity)
	}
	all := congestion.Signal{
		InFlight: inFlight, SenderLimited: r.all.has("idle"), PolicyLimited: r.all.has("policy"),
		Latency: r.all.duration("latency", time.Duration(latency*float64(time.Second))),
		Length:  r.all.duration("length", w.length),
	}
	started := w.starts(c, float64(inFlight)/all.Latency.Seconds())
	for i, m := range w.members {
		f := r.of(m.ID.Prefix, len(w.members) == 1)
		m.Begin()
		m.Signal = f.signal(started[i], w.throttled(i, started), all)
		all.Add(m.Signal)
	}
	all.Busy = r.all.number("busy", float64(inFlight))
	if all.Accepted == 0 {
		all.Latency = 0
	}
	return all
}

// inFlight is what window and rates allow.
func (w *world) inFlight(c *congestion.GlobalCongestionController) int {
	sum := 0.0
	for _, g := range c.Groups() {
		if g.Rate == 0 {
			return c.Bound()
		}
		sum += g.Rate
	}
	return min(c.Bound(), int(math.Ceil(sum*w.latency.Seconds())))
}

// starts divides so many requests per second over the prefixes: those of a group with a
// rate have that, as far as it goes, and the others share the rest.
func (w *world) starts(c *congestion.GlobalCongestionController, all float64) []float64 {
	paced, unpaced := 0.0, 0
	for _, g := range c.Groups() {
		if paced += g.Rate; g.Rate == 0 {
			unpaced += len(g.Members)
		}
	}
	started := make([]float64, len(w.members))
	for _, g := range c.Groups() {
		for _, m := range g.Members {
			i := slices.Index(w.members, m)
			if started[i] = max(0, all-paced) / float64(max(1, unpaced)); g.Rate > 0 {
				started[i] = min(1, all/paced) * g.Rate / float64(len(g.Members))
			}
		}
	}
	return started
}

// throttled is what the policer of a prefix does not accept of what it starts.
func (w *world) throttled(i int, started []float64) float64 {
	for _, p := range w.policers {
		if !slices.Contains(p.prefixes, w.members[i].ID.Prefix) {
			continue
		}
		asked := 0.0
		for j, m := range w.members {
			if slices.Contains(p.prefixes, m.ID.Prefix) {
				asked += started[j]
			}
		}
		return started[i] * max(0, 1-p.rate/asked)
	}
	return 0
}

// round is a line of a transcript: what differs from what the world would answer, of all
// prefixes and, after a bar each, of one.
type round struct {
	all      fields
	prefixes []fields
	times    int
}

func parseRound(line string) (r round, err error) {
	r.times = 1
	for i, part := range strings.Split(line, "|") {
		f, err := parse(part)
		if err != nil {
			return r, err
		}
		if i == 0 {
			r.all = f
		} else {
			r.prefixes = append(r.prefixes, f)
		}
	}
	if times, ok := strings.CutPrefix(r.all.name, "x"); ok {
		r.times, err = strconv.Atoi(times)
	} else if r.all.name != "-" {
		err = errors.New("a round begins with - or xN for N of them")
	}
	return r, err
}

// of gives the fields of a prefix; those of all are those of the only one.
func (r round) of(prefix string, only bool) fields {
	for _, f := range r.prefixes {
		if f.name == prefix {
			return f
		}
	}
	if only {
		return r.all
	}
	return fields{}
}

// fields are a name and values by key.
type fields struct {
	name   string
	values map[string]string
}

// parse reads a name and key=value pairs.
func parse(text string) (fields, error) {
	f := fields{values: map[string]string{}}
	for i, word := range strings.Fields(text) {
		key, value, _ := strings.Cut(word, "=")
		if i == 0 {
			f.name = word
			continue
		}
		switch key {
		case "latency", "length":
			if _, err := time.ParseDuration(value); err != nil {
				return f, err
			}
		case "inflight", "busy", "started", "accepted", "failed", "requests", "throttles", "throttled", "rate", "good", "size", "follows":
			if _, err := parseRate(strings.TrimSuffix(value, "%")); err != nil {
				return f, err
			}
		case "idle", "policy", "before", "state", "members":
		default:
			return f, fmt.Errorf("there is no field %q", key)
		}
		f.values[key] = value
	}
	return f, nil
}

func (f fields) has(key string) bool { _, ok := f.values[key]; return ok }

func (f fields) text(key, otherwise string) string {
	if value, ok := f.values[key]; ok {
		return value
	}
	return otherwise
}

// number and duration were checked by parse.
func (f fields) number(key string, otherwise float64) float64 {
	if value, ok := f.values[key]; ok {
		otherwise, _ = parseRate(value)
	}
	return otherwise
}

func (f fields) duration(key string, otherwise time.Duration) time.Duration {
	if value, ok := f.values[key]; ok {
		otherwise, _ = time.ParseDuration(value)
	}
	return otherwise
}

// signal is that of a prefix that would start and have throttled so many per second.
func (f fields) signal(started, throttled float64, all congestion.Signal) congestion.Signal {
	s := congestion.Signal{Started: f.number("started", started), Failed: f.number("failed", 0)}
	if percent, ok := strings.CutSuffix(f.text("throttled", ""), "%"); ok {
		share, _ := strconv.ParseFloat(percent, 64)
		s.Throttled = s.Started * share / 100
	} else {
		s.Throttled = f.number("throttled", throttled)
	}
	s.Accepted = f.number("accepted", max(0, s.Started-s.Throttled-s.Failed))
	s.Bytes = s.Accepted * f.number("size", 1<<20)
	ended := s.Accepted + s.Throttled + s.Failed
	s.Completions = int64(f.number("requests", max(math.Ceil(min(ended, 1)), math.Round(ended*all.Length.Seconds()))))
	if ended > 0 {
		s.Throttles = int64(f.number("throttles", math.Round(float64(s.Completions)*s.Throttled/ended)))
	}
	if !f.has("before") {
		s.Judged = f.judged(s, all.Length)
	}
	return s
}

// judged is all that the round tells, or the part of it that is said to follow the last
// decision.
func (f fields) judged(s congestion.Signal, length time.Duration) congestion.Judged {
	part := f.number("follows", 1)
	started := int64(part * math.Round(s.Started*length.Seconds()))
	ended := int64(part * float64(s.Completions))
	return congestion.Judged{Started: max(started, ended), Accepted: ended - min(ended, s.Throttles), Throttled: min(ended, s.Throttles)}
}

// parseRate reads a number, which may be per second.
func parseRate(text string) (float64, error) {
	return strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
}
