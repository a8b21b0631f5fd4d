package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/sim/baseline"
)

// Controller is what controls the workers of a run.
type Controller struct {
	Name string
	// config is that of the production coordinator; nil for a baseline.
	config *protocol.Config
	// without are the parts of the coordinator that are left out.
	without congestion.Mechanism
	law     baseline.Law
	// perPrefix is, for a fixed window per prefix, that window.
	perPrefix int
	// special is best-fixed or oracle.
	special string
}

const (
	bestFixed    = "best-fixed"
	oracleName   = "oracle"
	sdkAttempts  = 3 // the default of the AWS SDKs, with pauses from a second on
	fixedActive  = 4 // prefixes that one uncoordinated worker sends to at once
	fixedLargest = 256
)

// FindController gives a controller by its name: adaptive, tcp_like, fair_share,
// each also with -without-NAME for a mechanism of package coordination, fixed-N, fixed-Np, best-fixed, oracle, or a law of package baseline. Parameters
// of ours may follow, as in adaptive:learningRate=0.3,leaseDuration=20s.
func FindController(name string) (Controller, error) {
	base, overrides, _ := strings.Cut(name, ":")
	base, without, err := cutMechanisms(base)
	if err != nil {
		return Controller{}, fmt.Errorf("find controller %q: %w", name, err)
	}
	strategies := map[string]protocol.Strategy{
		"adaptive": protocol.Adaptive, "tcp_like": protocol.TCPLike, "fair_share": protocol.FairShare,
	}
	if strategy, ok := strategies[base]; ok {
		config := protocol.DefaultConfig()
		config.Strategy = strategy
		if err := override(&config, overrides); err != nil {
			return Controller{}, fmt.Errorf("find controller %q: %w", name, err)
		}
		return Controller{Name: name, config: &config, without: without}, nil
	}
	if without != 0 {
		return Controller{}, fmt.Errorf("find controller %q: only ours can do without a mechanism", name)
	}
	if overrides != "" {
		return Controller{}, fmt.Errorf("find controller %q: only ours take parameters", name)
	}
	if name == bestFixed || name == oracleName {
		return Controller{Name: name, special: name}, nil
	}
	if window, ok := strings.CutPrefix(name, "fixed-"); ok {
		return fixed(name, window)
	}
	for _, law := range baseline.Laws() {
		if law.Name == name {
			return Controller{Name: name, law: law}, nil
		}
	}
	return Controller{}, fmt.Errorf("find controller %q: there is none; there are %s", name, strings.Join(ControllerNames(), ", "))
}

// cutMechanisms takes the mechanisms to leave out from the end of a name.
func cutMechanisms(name string) (base string, without congestion.Mechanism, err error) {
	parts := strings.Split(name, "-without-")
	for _, part := range parts[1:] {
		m, err := congestion.MechanismNamed(part)
		if err != nil {
			return "", 0, err
		}
		without |= m
	}
	return parts[0], without, nil
}

// ControllerNames lists the controllers; N stands for a number.
func ControllerNames() []string {
	names := []string{"adaptive", "tcp_like", "fair_share", "fixed-N", "fixed-Np", bestFixed, oracleName}
	for _, law := range baseline.Laws() {
		names = append(names, law.Name)
	}
	return names
}

// fixed gives a fixed window per process, or with a p per prefix.
func fixed(name, window string) (Controller, error) {
	number, perPrefix := strings.CutSuffix(window, "p")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > 100_000 {
		return Controller{}, fmt.Errorf("find controller %q: want fixed-N or fixed-Np with N from 1 to 100000", name)
	}
	c := Controller{Name: name, law: fixedLaw(name, n)}
	if perPrefix {
		c.perPrefix = n
		c.law = fixedLaw(name, n*fixedActive)
	}
	return c, nil
}

func fixedLaw(name string, window int) baseline.Law {
	return baseline.Law{
		Name: name, Attempts: sdkAttempts, Backoff: time.Second,
		New: func(baseline.Env) baseline.Limiter { return fixedWindow(window) },
	}
}

// fixedWindow is a number of requests in flight.
type fixedWindow int

func (w fixedWindow) Limit(time.Time) (int, float64)  { return int(w), 0 }
func (w fixedWindow) Start(time.Time, int)            {}
func (w fixedWindow) Done(time.Time, baseline.Result) {}

// override sets parameters of a configuration by their names in the API.
func override(config *protocol.Config, list string) error {
	for _, pair := range strings.FieldsFunc(list, func(r rune) bool { return r == 0x2c }) {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("%q is not of the form parameter=value", pair)
		}
		if err := setField(reflect.ValueOf(config).Elem(), key, value); err != nil {
			return err
		}
	}
	return config.Validate()
}

func setField(config reflect.Value, key, value string) error {
	field := config.FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, key) })
	if !field.IsValid() {
		return fmt.Errorf("there is no parameter %q", key)
	}
	var err error
	switch target := field.Addr().Interface().(type) {
	case *int:
		*target, err = strconv.Atoi(value)
	case *float64:
		*target, err = strconv.ParseFloat(value, 64)
	case *bool:
		*target, err = strconv.ParseBool(value)
	case *time.Duration:
		*target, err = time.ParseDuration(value)
	case *protocol.Strategy:
		*target = protocol.Strategy(value)
	case *protocol.BandwidthStrategy:
		*target = protocol.BandwidthStrategy(value)
	}
	if err != nil {
		return fmt.Errorf("parameter %s: %w", key, err)
	}
	return nil
}

// Ours tells that the controller is the product, whose invariants are checked.
func (c Controller) Ours() bool { return c.config != nil }

// control puts the workers of a run under the controller.
func (c Controller) control(r *run) {
	if c.config != nil {
		f := newFleet(r, c)
		r.record.state = f.state
		r.conclude = func() { r.check.concluded(f) }
		return
	}
	var clients []*client
	for _, w := range r.works {
		shares := 0
		for _, g := range w.spec.Workers {
			shares += g.Count
		}
		share := 0
		mine := []*client{}
		for i := range w.spec.Workers {
			g := &w.spec.Workers[i]
			for n := range g.Count {
				name := fmt.Sprintf("%s-%04d", g.Name, n)
				x := newClient(r, w, g, c.law, share, shares, name)
				if c.perPrefix > 0 {
					x.perPrefix, x.active = c.perPrefix, fixedActive
				}
				share++
				mine = append(mine, x)
				r.hosts = append(r.hosts, &process{group: g, work: w, name: name, victim: x, host: x.host})
			}
		}
		w.onArrive = func() {
			for _, x := range mine {
				r.set(&x.pump, r.now)
			}
		}
		clients = append(clients, mine...)
	}
	r.record.state = func() (int, float64) { return stateOf(r, clients) }
}

// stateOf sums what the clients allow themselves.
func stateOf(r *run, clients []*client) (window int, rate float64) {
	for _, x := range clients {
		if x.alive && !x.hung {
			n, s := x.limiter.Limit(r.time(r.now))
			window += min(n, x.most)
			rate += s
		}
	}
	return window, rate
}

// state is what the coordinator grants.
func (f *fleet) state() (window int, rate float64) {
	for _, p := range f.pods {
		for _, g := range p.worker.grant.Prefixes {
			if p.worker.alive {
				window += g.Window
				rate += g.Rate
			}
		}
	}
	return window, rate
}

// fixedGrid are the windows that best-fixed is chosen from.
func fixedGrid() []int {
	grid := []int{}
	for n := 1; n <= fixedLargest; n *= 2 {
		grid = append(grid, n)
		if n >= 4 && n < fixedLargest {
			grid = append(grid, n*3/2)
		}
	}
	slices.Sort(grid)
	return grid
}
