package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"cargoship.dev/operator/bench/figures"
)

// bench holds what all copies share.
type bench struct {
	// bin holds our programs, and peers/ those built to compare with; out takes the
	// results; scratch is in memory.
	bin, out, scratch string
	limit             time.Duration
	runs              int
	only              *regexp.Regexp
	again             bool
	// builds are other builds of ours to compare with in place of other clients.
	builds builds
	tools  []tool
	report report
}

// tooSlow is how many times as long as ours a tool may take and be run again.
const tooSlow = 2

// peers are run again always: what is claimed is claimed against them.
func peers() []string { return []string{peer, figures.CRTName} }

const peer = "s5cmd"

func main() {
	var b bench
	only := flag.String("only", "", "run scenarios and clients whose SCENARIO:CLIENT matches this expression")
	flag.StringVar(&b.bin, "bin", "bin", "directory of our programs, and of peers/")
	flag.StringVar(&b.out, "out", "docs/benchmarks", "directory for transfer.md, transfer.json and transfer.svg")
	flag.IntVar(&b.runs, "runs", 5, "rounds")
	flag.DurationVar(&b.limit, "limit", time.Minute, "the most that one copy may take")
	flag.BoolVar(&b.again, "again", false, "measure what --only matches again, and keep the other results of the transfer.json that is there")
	flag.Var(&b.builds, "build", "NAME=PATH of another build of cargoship to compare with, in place of other clients; may be repeated")
	render := flag.Bool("render", false, "run nothing: write page and plot of the transfer.json that is there")
	flag.Parse()
	var err error
	if b.only, err = regexp.Compile(*only); err != nil || flag.NArg() > 0 || b.runs < 1 || b.again && *only == "" {
		fmt.Fprintln(os.Stderr, "benchtransfer: want --only EXPRESSION, with --again in any case, --runs above 0, and no arguments")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if *render {
		err = b.render()
	} else {
		err = b.run(ctx)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchtransfer:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context) (err error) {
	if b.tools, err = findTools(b.bin, b.builds); err != nil {
		return err
	}
	b.report = newReport(b.runs, b.limit)
	b.report.Builds = len(b.builds) > 0
	if b.again {
		if err := figures.ReadData(b.path(".json"), &b.report); err != nil {
			return err
		}
		b.report.forget(b.only)
	}
	for _, t := range b.tools {
		b.report.Versions[t.name] = t.describe(ctx)
		line := strings.Join(t.arguments(job{"DIR", "http://HOST:PORT", ""}), " ")
		b.report.Commands[t.name] = strings.NewReplacer(secretKey, "…", accessKey, "…").Replace(filepath.Base(t.path) + " " + line)
	}
	if b.scratch, err = os.MkdirTemp(memory(), "benchtransfer-"); err != nil {
		return fmt.Errorf("make a scratch directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.scratch)) }()
	for _, d := range datasets() {
		if err := d.write(filepath.Join(b.scratch, d.name)); err != nil {
			return err
		}
	}
	for round := range b.runs {
		for _, s := range scenarios() {
			if err := b.round(ctx, round, s); err != nil {
				return err
			}
		}
		// What is measured stays, also when a later round is interrupted.
		if !b.again {
			b.report.Runs = round + 1
		}
		if err := b.write(); err != nil {
			return err
		}
	}
	return nil
}

// memory is a directory in memory, or else the one for temporary files.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// round has each tool do a scenario once, in an order that rotates from round to round.
func (b *bench) round(ctx context.Context, round int, s scenario) error {
	for i := range b.tools {
		t := b.tools[(i+round)%len(b.tools)]
		if t.only != "" && t.only != s.condition.name || !b.only.MatchString(s.name()+":"+t.name) || round > 0 && b.excused(s, t) {
			continue
		}
		m, err := b.copyOnce(ctx, t, s)
		if err != nil {
			return fmt.Errorf("%s with %s: %w", s.name(), t.name, err)
		}
		fmt.Fprintf(os.Stderr, "benchtransfer: round %d of %d: %-14s %-17s %7.2f s %6.2f CPU-s %6.0f MiB %s\n",
			round+1, b.runs, s.name(), t.name, m.Seconds, m.CPU, float64(m.PeakBytes)/mebi, m.Problem)
		b.add(s.name(), t.name, m)
	}
	return nil
}

// excused tells whether a tool was so slow that another run would say nothing new.
func (b *bench) excused(s scenario, t tool) bool {
	if strings.HasPrefix(t.name, ours) {
		return false
	}
	one, _ := b.report.find(s.name(), t.name)
	reference, found := b.report.find(s.name(), ours)
	if one.problem() != "" {
		return true
	}
	return found && !slices.Contains(peers(), t.name) && len(one.Runs) > 0 && one.Runs[0].Seconds > tooSlow*reference.Runs[0].Seconds
}

// add records a run, the tools in their own order whatever the round's.
func (b *bench) add(scenario, tool string, m measure) {
	for i := range b.report.Results {
		if one := &b.report.Results[i]; one.Scenario == scenario && one.Tool == tool {
			one.Runs = append(one.Runs, m)
			return
		}
	}
	b.report.Results = append(b.report.Results, result{scenario, tool, []measure{m}})
}

// write writes page, data and plot.
func (b *bench) write() error {
	if err := figures.WriteData(b.path(".json"), b.report); err != nil {
		return err
	}
	return b.publish()
}

// path returns that of the file with all runs, of the page, or of the plot.
func (b *bench) path(extension string) string {
	name := "transfer"
	if len(b.builds) > 0 {
		name = "transfer-builds"
	}
	return filepath.Join(b.out, name+extension)
}

// render takes the runs from the data.
func (b *bench) render() error {
	if err := figures.ReadData(b.path(".json"), &b.report); err != nil {
		return err
	}
	return b.publish()
}

// publish writes the page, and the plot where there are other clients.
func (b *bench) publish() error {
	if err := figures.WritePage(b.path(".md"), b.report.writePage); err != nil {
		return err
	}
	if b.report.Builds {
		return nil
	}
	return b.report.writePlot(b.path(".svg"))
}
