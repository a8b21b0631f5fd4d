package congestion_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// Transcripts are what the law decides, round by round: docs/control-law.md tells how to
// read them. With -rewrite they are written anew, to be read in review.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d transcripts: %v", len(files), err)
	}
	given := map[protocol.Reason]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s := &script{given: given}
			datadriven.RunTest(t, file, s.run)
		})
	}
	word := regexp.MustCompile(`^[A-Z][A-Za-z]*$`) // as the API has it
	for _, reason := range reasons(t) {
		if !word.MatchString(string(reason)) {
			t.Errorf("%q is not one word", reason)
		}
		if !given[reason] {
			t.Errorf("no transcript shows the branch %s of the law", reason)
		}
	}
}

// reasons are those that the package declares.
func reasons(t *testing.T) (all []protocol.Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil && !strings.Contains(text, "/") {
				all = append(all, protocol.Reason(text))
			}
		}
		return true
	})
	if len(all) < 10 {
		t.Fatalf("found the reasons %v only", all)
	}
	return all
}

// epoch is where the virtual time of transcripts begins.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// script is a transcript as it is played: a controller, and the world that answers it.
type script struct {
	c     *congestion.GlobalCongestionController
	now   time.Time
	given map[protocol.Reason]bool
	world
}

// run plays one directive.
func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "start":
		return s.start(t, d)
	case "restore":
		s.start(t, d)
		return s.restore(t, d)
	case "path":
		s.world.path(t, d)
		return ""
	case "police":
		s.police(t, d)
		return ""
	case "rounds":
		return s.rounds(t, d)
	case "groups":
		return s.groups()
	case "reports":
		return s.reports(t, d)
	case "over":
		return s.over(t, d)
	}
	d.Fatalf(t, "there is no directive %q", d.Cmd)
	return ""
}

// start begins with a new controller and a path of 100 ms.
func (s *script) start(t *testing.T, d *datadriven.TestData) string {
	config := protocol.DefaultConfig()
	d.MaybeScanArgs(t, "window", &config.GlobalCongestionWindow)
	d.MaybeScanArgs(t, "threshold", &config.SlowStartThreshold)
	config.AdvancedFlowControl = !d.HasArg("unpaced")
	var without congestion.Mechanism
	if d.HasArg("without") {
		var name string
		d.ScanArgs(t, "without", &name)
		m, err := congestion.MechanismNamed(name)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		without = m
	}
	s.now = epoch
	s.c = congestion.NewGlobalCongestionController(config, rand.New(rand.NewPCG(1, 1)), without)
	s.world = world{latency: 100 * time.Millisecond, length: time.Second}
	s.world.path(t, d)
	prefixes := []string{"a"}
	if arg, ok := d.Arg("prefixes"); ok {
		prefixes = arg.Vals
	}
	for _, name := range prefixes {
		s.members = append(s.members, &congestion.Member{ID: protocol.Member{Prefix: name}})
	}
	if d.Cmd == "start" {
		s.admit()
	}
	return ""
}

func (s *script) admit() {
	for _, m := range s.members {
		s.c.Admit(m)
	}
	s.c.Begin(s.now)
}

// restore begins with what an earlier leader has recorded: a window and its state, a base
// latency, and one group a line, with rate, good rate and members.
func (s *script) restore(t *testing.T, d *datadriven.TestData) string {
	base := s.latency.String()
	d.MaybeScanArgs(t, "base", &base)
	snapshot := protocol.Snapshot{Epoch: 1, Path: &protocol.PathSnapshot{State: protocol.CongestionAvoidance}}
	p := snapshot.Path
	d.ScanArgs(t, "size", &p.Window)
	if arg, ok := d.Arg("state"); ok {
		p.State = protocol.State(arg.Vals[0])
	}
	p.Profile.SizeClass = 10 // of requests of 1 MiB
	latency, err := time.ParseDuration(base)
	if err != nil {
		d.Fatalf(t, "base: %v", err)
	}
	p.Profile.BaseLatency = latency
	for _, line := range lines(d.Input) {
		f, err := parse(line)
		if err != nil {
			d.Fatalf(t, "%s: %v", line, err)
		}
		g := protocol.GroupSnapshot{Name: f.name, Rate: f.number("rate", 0), GoodRate: f.number("good", f.number("rate", 0)),
			State: protocol.State(f.text("state", string(protocol.CongestionAvoidance)))}
		for name := range strings.SplitSeq(f.text("members", ""), ",") {
			g.Members = append(g.Members, protocol.Member{Prefix: name})
		}
		snapshot.Groups = append(snapshot.Groups, g)
	}
	if err := s.c.Restore(s.now, snapshot); err != nil {
		return err.Error()
	}
	s.admit()
	return ""
}

// rounds plays one round a line, or several of the same, of which the last is shown.
func (s *script) rounds(t *testing.T, d *datadriven.TestData) string {
	var out strings.Builder
	for _, line := range lines(d.Input) {
		r, err := parseRound(line)
		if err != nil {
			d.Fatalf(t, "%s: %v", line, err)
		}
		var decision protocol.Decision
		for range r.times {
			decision = s.round(r)
		}
		fmt.Fprintf(&out, "%v: %v\n", s.now.Sub(epoch), decision)
	}
	return out.String()
}

// round has the world answer the controller for a round, and the controller judge it.
func (s *script) round(r round) protocol.Decision {
	signal := s.answer(s.c, r)
	s.now = s.now.Add(signal.Length)
	decision := s.c.Round(s.now, signal)
	s.c.Begin(s.now)
	s.given[decision.Window.Reason] = true
	for _, g := range decision.Groups {
		s.given[g.Reason] = true
	}
	return decision
}

// groups lists the groups with their members.
func (s *script) groups() string {
	var out strings.Builder
	for _, g := range s.c.Groups() {
		fmt.Fprintf(&out, "%s:", g.Name)
		for _, m := range g.Members {
			fmt.Fprintf(&out, " %s", m.ID.Prefix)
		}
		fmt.Fprintln(&out)
	}
	return out.String()
}

// reports tells how fast the next reports should come, after a while.
func (s *script) reports(t *testing.T, d *datadriven.TestData) string {
	if s.c.FastReporting(s.now.Add(duration(t, d, "after", 0))) {
		return "fast"
	}
	return "at the base interval"
}

// over tells whether a round is over after a while, of which workers have reported some
// requests, for the whole of the window or a part of it.
func (s *script) over(t *testing.T, d *datadriven.TestData) string {
	var accepted, throttled int64
	coverage := 1.0
	d.MaybeScanArgs(t, "accepted", &accepted)
	d.MaybeScanArgs(t, "throttled", &throttled)
	if arg, ok := d.Arg("coverage"); ok {
		var err error
		if coverage, err = strconv.ParseFloat(arg.Vals[0], 64); err != nil {
			d.Fatalf(t, "coverage: %v", err)
		}
	}
	e := congestion.NewEvidence()
	e.Add(protocol.PrefixCounters{Started: accepted + throttled, Accepted: accepted, Throttled: throttled}, protocol.Sample{Throttled: throttled})
	s.c.Hear([]*congestion.Evidence{&e})
	interval := duration(t, d, "interval", 500*time.Millisecond)
	return strconv.FormatBool(s.c.Over(s.now.Add(duration(t, d, "after", 0)), interval, coverage))
}

func duration(t *testing.T, d *datadriven.TestData, name string, otherwise time.Duration) time.Duration {
	arg, ok := d.Arg(name)
	if !ok {
		return otherwise
	}
	value, err := time.ParseDuration(arg.Vals[0])
	if err != nil {
		d.Fatalf(t, "%s: %v", name, err)
	}
	return value
}

// lines are those of an input that say something.
func lines(input string) (all []string) {
	for line := range strings.Lines(input) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}
