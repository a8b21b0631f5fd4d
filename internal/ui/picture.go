package ui

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/kubectl/view"
)

// thumbnailPoints are those of a curve in the list.
const thumbnailPoints = 60

// Picture is what a page shows. All text in it is free of control characters; whatever looks
// like markup is text.
type Picture struct {
	At           time.Time     `json:"at"`
	Problems     []string      `json:"problems"`
	Runs         []Summary     `json:"runs"`
	Destinations []Destination `json:"destinations"`
	// Run is the one that the page is about.
	Run *Detail `json:"run,omitempty"`
}

// Summary is a run in a list.
type Summary struct {
	UID     string       `json:"uid"`
	Kind    string       `json:"kind"`
	Tone    string       `json:"tone"`
	Gone    *time.Time   `json:"gone,omitempty"`
	Ended   bool         `json:"ended"`
	Figures view.Figures `json:"figures"`
	// Throughput is a thumbnail of the curve.
	Throughput Values `json:"throughput"`
}

// Detail is a run by itself.
type Detail struct {
	Summary
	Answer   explain.Answer       `json:"answer"`
	Prefixes []view.PrefixFigures `json:"prefixes"`
	Workers  []view.WorkerFigures `json:"workers"`
	Failures []string             `json:"failures"`
	// Course is what has happened, the latest first.
	Course []Entry `json:"course"`
	// Track is what the page has not got yet of the curves.
	Track Piece `json:"track"`
}

// Destination is an endpoint and bucket that several runs may share.
type Destination struct {
	Domain     string   `json:"domain"`
	State      string   `json:"state"`
	Window     string   `json:"window"`
	Rate       string   `json:"rate"`
	Throughput string   `json:"throughput"`
	Runs       []string `json:"runs"`
	// Learned is the window that the next leader begins with, as of a time.
	Learned string     `json:"learned"`
	Updated *time.Time `json:"updated,omitempty"`
}

// Picture is the page about a run, or about all with the UID "". The mark is how far its
// reader has come.
func (m *Memory) Picture(uid string, mark Mark) (Picture, Mark) {
	p := Picture{At: m.last.At, Problems: []string{}, Runs: []Summary{}, Destinations: m.destinations()}
	for _, problem := range m.last.Problems {
		p.Problems = append(p.Problems, cli.Printable(problem))
	}
	for _, uid := range slices.SortedFunc(maps.Keys(m.runs), m.byName) {
		p.Runs = append(p.Runs, m.runs[uid].summary(m.last.At))
	}
	if r := m.runs[uid]; r != nil {
		p.Run, mark = r.detail(m.last.At, mark)
	}
	return p, mark
}

func (m *Memory) byName(a, b string) int {
	x, y := m.runs[a].item.Run, m.runs[b].item.Run
	return cmp.Or(strings.Compare(x.Namespace, y.Namespace), -strings.Compare(x.Kind, y.Kind), strings.Compare(x.Name, y.Name), strings.Compare(a, b))
}

func (r *remembered) summary(now time.Time) Summary {
	s := Summary{UID: string(r.item.Run.UID), Kind: r.item.Run.Kind, Tone: view.Tone(r.item.Run), Ended: r.item.Run.Ended(),
		Figures: view.RunFigures(r.item, now), Throughput: r.track.Thumbnail(Key{Scope: Whole, Metric: Throughput}, thumbnailPoints)}
	if s.Throughput == nil {
		s.Throughput = Values{}
	}
	if !r.gone.IsZero() {
		s.Gone = &r.gone
	}
	return s
}

func (r *remembered) detail(now time.Time, mark Mark) (*Detail, Mark) {
	t := view.Terminal{Unicode: true}
	d := &Detail{Summary: r.summary(now), Answer: printable(r.item.Answer),
		Prefixes: view.ForPrefixes(r.item.Run, t), Workers: view.ForWorkers(r.item.Leases, t), Failures: []string{}}
	for _, f := range r.item.Run.Failures {
		d.Failures = append(d.Failures, cli.Printable(view.Failure(f)))
	}
	d.Course = slices.AppendSeq([]Entry{}, maps.Values(r.course))
	slices.SortFunc(d.Course, func(a, b Entry) int { return cmp.Or(b.At.Compare(a.At), strings.Compare(a.Title, b.Title)) })
	d.Track, mark = r.track.Since(mark)
	return d, mark
}

// printable is an answer without control characters.
func printable(a explain.Answer) explain.Answer {
	out := explain.Answer{LimitedBy: a.LimitedBy, Sentence: cli.Printable(a.Sentence), Advice: cli.Printable(a.Advice), Evidence: []explain.Fact{}}
	for _, f := range a.Evidence {
		out.Evidence = append(out.Evidence, explain.Fact{Name: f.Name, Value: cli.Printable(f.Value)})
	}
	return out
}

// destinations are those of runs, with what managers have learned about them.
func (m *Memory) destinations() []Destination {
	all := map[string]*Destination{}
	at := func(domain string) *Destination {
		if all[domain] == nil {
			all[domain] = &Destination{Domain: cli.Printable(domain), State: "-", Window: "-", Rate: "-", Throughput: "-", Runs: []string{}, Learned: "-"}
		}
		return all[domain]
	}
	for _, uid := range slices.SortedFunc(maps.Keys(m.runs), m.byName) {
		r := m.runs[uid]
		c := r.item.Run.Coordination
		if c.Domain == "" || !r.gone.IsZero() || r.item.Run.Ended() {
			continue
		}
		d, f := at(c.Domain), view.RunFigures(r.item, m.last.At)
		d.Runs = append(d.Runs, f.Namespace+"/"+f.Name)
		if c.State != "" {
			d.State, d.Window, d.Rate = f.State, f.Window, f.Rate
			if n := ptr.Deref(c.Metrics, v1alpha1.CoordinationMetrics{}).BytesPerSecond; n != nil {
				d.Throughput = convert.Bytes(*n) + "/s"
			}
		}
	}
	for _, p := range m.last.Profiles {
		d := at(p.Spec.Domain)
		if w := p.Status.Window; w != nil {
			d.Learned = strconv.Itoa(int(*w))
		}
		if p.Status.UpdateTime != nil {
			d.Updated = &p.Status.UpdateTime.Time
		}
	}
	out := []Destination{}
	for _, domain := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[domain])
	}
	return out
}
