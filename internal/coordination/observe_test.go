package coordination

import (
	"errors"
	"math"
	"slices"
	"testing"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// rejected are changes of a good report, and the errors that they bring about; nil for none.
var rejected = map[string]struct {
	change func(*protocol.Report)
	want   error
}{
	"unknown worker":                {func(r *protocol.Report) { r.Worker = "x" }, ErrUnknownWorker},
	"another transfer":              {func(r *protocol.Report) { r.Transfer = "x" }, ErrImpossibleReport},
	"a later epoch":                 {func(r *protocol.Report) { r.Epoch = 4 }, ErrNewerEpoch},
	"an earlier epoch":              {func(r *protocol.Report) { r.Epoch = 2 }, ErrStaleReport},
	"an older grant":                {func(r *protocol.Report) { r.GrantSequence = 1 }, ErrStaleReport},
	"a grant not given":             {func(r *protocol.Report) { r.GrantSequence = 99 }, ErrImpossibleReport},
	"the same again":                {func(r *protocol.Report) { r.Sequence = 5 }, ErrStaleReport},
	"an older one":                  {func(r *protocol.Report) { r.Sequence = 4 }, ErrStaleReport},
	"no instance":                   {func(r *protocol.Report) { r.Instance = "" }, ErrImpossibleReport},
	"an old instance":               {func(r *protocol.Report) { r.Instance, r.Sequence, r.Epoch, r.GrantSequence = "0", 6, 0, 0 }, ErrStaleReport},
	"counters go back":              {func(r *protocol.Report) { r.Prefixes[0].Accepted = 1 }, ErrImpossibleReport},
	"more than started":             {func(r *protocol.Report) { r.Prefixes[0].Accepted = 99 }, ErrImpossibleReport},
	"negative counter":              {func(r *protocol.Report) { r.Prefixes[0].Failed = -1 }, ErrImpossibleReport},
	"negative duration":             {func(r *protocol.Report) { r.Prefixes[0].AttemptP50 = -1 }, ErrImpossibleReport},
	"too many requests":             {func(r *protocol.Report) { r.Prefixes[0].Started = 1e8 }, ErrImpossibleReport},
	"too many bytes":                {func(r *protocol.Report) { r.Prefixes[0].Bytes = 1e13 }, ErrImpossibleReport},
	"overflow":                      {func(r *protocol.Report) { r.Prefixes[0].Started = math.MaxInt64 }, ErrImpossibleReport},
	"a prefix twice":                {func(r *protocol.Report) { r.Prefixes = append(r.Prefixes, r.Prefixes[0]) }, ErrImpossibleReport},
	"a sample of a grant not given": {func(r *protocol.Report) { r.Prefixes[0].Newest.Grant = protocol.GrantID{Epoch: 3, Sequence: 99} }, ErrImpossibleReport},
	"a negative sample":             {func(r *protocol.Report) { r.Prefixes[0].Newest.Throttled = -1 }, ErrImpossibleReport},
	"a sample of more than started": {func(r *protocol.Report) { r.Prefixes[0].Newest.Accepted = 9 }, ErrImpossibleReport},
	"samples of more than all": {func(r *protocol.Report) {
		p := &r.Prefixes[0]
		p.Newest, p.Before = protocol.Sample{Grant: r.ActsOn(), Started: 6}, protocol.Sample{Started: 6}
	}, ErrImpossibleReport},
	"a sample that grew by more than all": {func(r *protocol.Report) {
		r.Prefixes[0].Newest = protocol.Sample{Grant: r.ActsOn(), Started: 9}
	}, ErrImpossibleReport},
	"samples in the wrong order": {func(r *protocol.Report) { r.Prefixes[0].Before.Grant = r.ActsOn() }, ErrImpossibleReport},
	"samples of two grants": {func(r *protocol.Report) {
		p := &r.Prefixes[0]
		p.Newest, p.Before = protocol.Sample{Grant: r.ActsOn(), Started: 3, Accepted: 2}, protocol.Sample{Started: 2, Accepted: 2}
	}, nil},
	"negative tally": {func(r *protocol.Report) {
		r.Finished = []protocol.Outcome{{Archive: protocol.ArchiveID{Transfer: "t", Prefix: "a", Number: 0}, Done: protocol.Tally{Files: -1}}}
	}, ErrImpossibleReport},
	"nothing wrong": {func(*protocol.Report) {}, nil},
}

func TestObserveRejects(t *testing.T) {
	good := protocol.Report{
		Worker: "w", Transfer: "t", Instance: "1", Sequence: 10, Epoch: 3, GrantSequence: 2,
		Prefixes: []protocol.PrefixCounters{{Prefix: "a", Started: 10, Accepted: 9, Bytes: 9}},
	}
	for name, test := range rejected {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, protocol.DefaultConfig())
			f.schedule("t", "a", 50)
			f.c.AddWorker(f.now, "w", "t", 100)
			must(t, f.c.Observe(f.now, protocol.Report{Worker: "w", Transfer: "t", Instance: "0", Sequence: 4}))
			f.tick()
			first := good
			first.Sequence = 5
			first.GrantSequence = 1
			first.Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: 5, Accepted: 5, Bytes: 5}}
			must(t, f.c.Observe(f.now, first))
			f.tick()
			first.Sequence, first.GrantSequence = 6, 2
			must(t, f.c.Observe(f.now, first))
			r := good
			r.Prefixes = slices.Clone(good.Prefixes)
			test.change(&r)
			again := name == "the same again" || name == "an older one"
			if had := f.c.HasReport(r.Worker, r.Instance, r.Sequence); had != again {
				t.Errorf("HasReport says %v, want %v", had, again)
			}
			if err := f.c.Observe(f.now, r); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// What a worker counts on a prefix that it was never granted moves nothing.
func TestCountersOfAnotherPrefixAreNotBelieved(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.start("t", "w")
	f.round("w")
	must(t, f.c.RegisterPrefix(f.now, "t", "b"))
	for n := range int64(4) {
		f.reports["w"].Prefixes = []protocol.PrefixCounters{{Prefix: "b", Started: 1000 * n, Accepted: 10 * n, Throttled: 990 * n, Bytes: n}}
		f.round("w")
	}
	if rate := f.grants["w"].Prefixes[0].Rate; rate != 0 {
		t.Errorf("503s told of another prefix left a rate of %v", rate)
	}
}

// A new process of a worker begins its counters again.
func TestNewInstance(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.start("t", "w")
	f.reports["w"].Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: 100, Accepted: 100}}
	f.round("w")
	held := f.assigned("w", "a")
	last := f.reports["w"].Sequence
	f.reports["w"] = &protocol.Report{Worker: "w", Transfer: "t", Instance: "2", Sequence: last, MaxInFlight: 100}
	f.grants["w"] = protocol.Grant{}
	f.round("w")
	if g := f.grants["w"]; g.Instance != "2" || g.AcknowledgedReport != last+1 {
		t.Errorf("got %+v, want report %d of instance 2 acknowledged", g, last+1)
	}
	if got := f.assigned("w", "a"); !slices.Equal(got, held) {
		t.Errorf("assigned %v, want the same %v", got, held)
	}
}

// What a worker did before it was known says nothing of the path now.
func TestFirstReportOnlySetsTheCounters(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 50)
	f.c.AddWorker(f.now, "w", "t", 100)
	r := &protocol.Report{
		Worker: "w", Transfer: "t", Instance: "1", MaxInFlight: 100,
		Prefixes: []protocol.PrefixCounters{{Prefix: "a", Started: 5000, Accepted: 1000, Throttled: 4000}},
	}
	f.reports["w"] = r
	f.round("w")
	if f.c.control.Begun() {
		t.Error("the first report was judged")
	}
	r.Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: 5100, Accepted: 1100, Throttled: 4000, MaxInFlight: 32}}
	f.round("w")
	if g := f.c.Metrics(f.now).Groups[0]; g.CongestionEvents != 0 || g.Requests != 50 {
		t.Errorf("%d cuts and %v requests per second, want none and 50", g.CongestionEvents, g.Requests)
	}
}

// A round is judged by reports that act on its grants, unless they do not come.
func TestRoundsWaitForTheirGrants(t *testing.T) {
	f := newFixture(t, protocol.DefaultConfig())
	f.schedule("t", "a", 500)
	f.start("t", "w")
	send := func() (judged bool) {
		r := f.reports["w"]
		sent := 10 * (r.Sequence + 1)
		r.Prefixes = []protocol.PrefixCounters{{Prefix: "a", Started: sent, Accepted: sent, MaxInFlight: 3}}
		return f.round("w").Decision.Made()
	}
	send()
	f.resize(20)
	seen := f.grants["w"]
	send() // ends a round and writes the new grant
	waited := 0
	for judged := false; !judged && waited < 10; waited++ {
		f.grants["w"] = seen
		judged = send()
	}
	// Three times the length of a round, which is nine tenths of an interval.
	if waited != 3 {
		t.Errorf("judged after %d intervals of reports on the old grant, want 3", waited)
	}
	f.round("w")
	if !send() {
		t.Error("not judged by a report on the newest grant")
	}
}
