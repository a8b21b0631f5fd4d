//go:build e2e

package e2e

import (
	"errors"
	"flag"
	"fmt"
	"image/color"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"cargoship.dev/operator/bench/figures"
)

var pageFile = flag.String("page", "", "page, such as docs/benchmarks/outages.md, to record in what was measured; its data and its figure are beside it")

const introduction = `# Outages and limits, on three nodes

Recorded by ` + "`make test-outages`" + `, each run when it has passed. Workers are pods on the three nodes of [test/cluster](../cluster.md), on the same machine as
everything else; they write through the [lab](../lab.md) to versitygw, and the figures are what the lab counts.

Four workers send files of 160 KiB, 4.1 MB/s at best: either through a *link* of 33 Mb/s (200 ms median service time), or to a *policer* that takes 25 requests per second for files,
ten at once, and throttles the rest (400 ms).
All files have one prefix, on which a worker is assigned one archive ahead, for a minute; then they need their reserves. *Allowed* is the least that the leases allowed to have in flight at any
time of the phase, as read from the API: a grant counts in full until its worker acts on a later one or the API has not held it for a lease duration, and then by half. In no quarter of a second
was more in flight than the leases allowed then. Afterwards every transfer is completed without the limit: every byte is read back and compared with the source, manifests list every path
once, status and manifests agree, no lease and no upload is left.

![bytes stored per second](outages.svg)
`

const limitsIntroduction = `
## Limits

Three workers send files of 64 KiB. A CoordinationPolicy limits them to 4 MB/s always, and to 30 requests per second, with which they send 2 MB/s, for two minutes by the clocks of
Asia/Kathmandu. *Used* is what part of the limit was sent in all, beside it the least and the most over any ten seconds. After the switch 6 s are left out, in which workers learn
of it. Limits are kept to 2 % where bodies are sent; the lab counts a body once it has all of it, and when the machine is busy it is late itself.
`

// recorded is what one spec has measured, when, and where.
type recorded struct {
	figures.Head
	Name string `json:"name"`
	// Optimum is what could have been stored, in bytes per second; 0 where a limit is what was to be kept.
	Optimum float64   `json:"optimum,omitempty"`
	Phases  []phase   `json:"phases,omitempty"`
	Limits  []limited `json:"limits,omitempty"`
	// Stored are the bytes stored in each second, from the first phase to the end of the last.
	Stored []float64 `json:"stored"`
	// From and Until are the seconds between which something was away.
	From  float64 `json:"from"`
	Until float64 `json:"until"`
}

// order is that of the page.
func order() []string {
	policer, link := narrows()
	return []string{managersAway + link.name, managersAway + policer.name, apiAway + link.name, nodeCut + policer.name, limitsKept}
}

// bySecond is what was stored in each second of a time.
func (w *watch) bySecond(from, to time.Time) []float64 {
	sums := make([]float64, int(to.Sub(from).Seconds())+1)
	for _, i := range w.between(from, to) {
		sums[int(i.to.Sub(from).Seconds())] += float64(i.Total.AcceptedBytesIn)
	}
	return sums
}

// record puts what was measured into the page, in place of what it says of the spec.
func record(r recorded) {
	GinkgoHelper()
	if *pageFile == "" {
		return
	}
	data := strings.TrimSuffix(*pageFile, ".md") + ".json"
	var all []recorded
	if err := figures.ReadData(data, &all); !errors.Is(err, fs.ErrNotExist) {
		Expect(err).NotTo(HaveOccurred())
	}
	all = append(slices.DeleteFunc(all, func(o recorded) bool { return o.Name == r.Name }), r)
	slices.SortFunc(all, func(a, b recorded) int { return slices.Index(order(), a.Name) - slices.Index(order(), b.Name) })
	Expect(figures.WriteData(data, all)).To(Succeed())
	Expect(figures.WritePage(*pageFile, func(to io.Writer) error { return writePage(to, all) })).To(Succeed())
	Expect(figures.Draw(filepath.Join(filepath.Dir(*pageFile), "outages.svg"), 10*vg.Inch, 2.2*vg.Inch*vg.Length(len(all)), func(area draw.Canvas) error {
		return paint(area, all)
	})).To(Succeed())
}

func writePage(to io.Writer, all []recorded) error {
	var page strings.Builder
	page.WriteString(introduction)
	for _, r := range all {
		if len(r.Limits) > 0 {
			page.WriteString(limitsIntroduction)
		} else {
			_, _ = fmt.Fprintf(&page, "\n## %s\n", strings.ToUpper(r.Name[:1])+r.Name[1:])
		}
		_, _ = fmt.Fprintf(&page, "\n%s, %s, load average %s at the start.\n\n", r.Date, r.Machine, r.Load)
		if len(r.Limits) > 0 {
			page.WriteString("| | seconds | limit | used | least, most over 10 s |\n|---|---|---|---|---|\n")
		} else {
			page.WriteString("| | seconds | stored | of the optimum | throttled | answered in | most in flight | allowed |\n|---|---|---|---|---|---|---|---|\n")
		}
		for _, p := range r.Phases {
			_, _ = fmt.Fprintf(&page, "| %s | %.0f | %.2f MB/s | %.3f | %.2f %% | %.0f ms | %d | %d |\n",
				p.Name, p.Seconds, p.perSecond()/1e6, p.perSecond()/r.Optimum, 100*p.throttledShare(), 1e3*p.Service, p.InFlight, p.Allowed)
		}
		for _, l := range r.Limits {
			_, _ = fmt.Fprintf(&page, "| %s | %.0f | %s | %.3f | %.3f, %.3f |\n", l.Name, l.Seconds, l.Limit, l.Used, l.Least, l.Most)
		}
	}
	_, err := io.WriteString(to, page.String())
	return err
}

// paint draws what was stored over time, one below the other.
func paint(area draw.Canvas, all []recorded) error {
	var rows [][]*plot.Plot
	for _, r := range all {
		p, err := r.curve()
		if err != nil {
			return err
		}
		rows = append(rows, []*plot.Plot{p})
	}
	tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadY: vg.Points(8), PadTop: vg.Points(4), PadBottom: vg.Points(4), PadLeft: vg.Points(4), PadRight: vg.Points(8)}
	for i, line := range plot.Align(rows, tiles, area) {
		rows[i][0].Draw(line[0])
	}
	return nil
}

// curve is what was stored in each second, as the mean of five, with the outage behind.
func (r recorded) curve() (*plot.Plot, error) {
	const over = 5
	var points plotter.XYs
	most := 0.
	for at := 0; at+over <= len(r.Stored); at++ {
		sum := 0.
		for _, bytes := range r.Stored[at : at+over] {
			sum += bytes
		}
		points = append(points, plotter.XY{X: float64(at) + over/2., Y: sum / over / 1e6})
		most = max(most, sum/over/1e6)
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	line.Color, line.Width = color.RGBA{0x00, 0x5a, 0xb5, 0xff}, vg.Points(1.2)
	away, err := plotter.NewPolygon(plotter.XYs{{X: r.From}, {X: r.From, Y: 1.1 * most}, {X: r.Until, Y: 1.1 * most}, {X: r.Until}})
	if err != nil {
		return nil, err
	}
	away.Color, away.LineStyle.Width = color.RGBA{0xf3, 0xe3, 0xcc, 0xff}, 0
	p := plot.New()
	figures.Style(p)
	p.Title.Text, p.Y.Label.Text = r.Name, "MB/s"
	p.X.Tick.Marker, p.Y.Tick.Marker = figures.Seconds{}, figures.Plain{}
	p.Add(away, line)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, float64(len(r.Stored)), 0, 1.1*most
	return p, nil
}
