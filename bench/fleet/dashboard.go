package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"cargoship.dev/operator/bench/figures"
)

// dashboard is what is needed of the chart's Grafana dashboard.
type dashboard struct {
	Title  string      `json:"title"`
	Panels []gridPanel `json:"panels"`
}

type gridPanel struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

// drawDashboard asks Prometheus all queries of the dashboard over one run, and draws the
// panels from the answers. A panel without any is an error: its query fits no metric.
func (r *rig) drawDashboard(ctx context.Context, o options) error {
	name, over, ok := r.shown()
	if !ok {
		return nil // no coordinated fleet was asked for
	}
	text, err := os.ReadFile(filepath.Join(r.root, "charts", "cargoship", "files", "dashboard.json"))
	if err != nil {
		return fmt.Errorf("read the dashboard: %w", err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		return fmt.Errorf("read the dashboard: %w", err)
	}
	var filled []filledPanel
	for _, p := range d.Panels {
		if p.Type == "row" {
			break // restores, of which the benchmark has none
		}
		one, err := r.watcher.fill(ctx, p, over)
		if err != nil {
			return fmt.Errorf("fill the panel %q: %w", p.Title, err)
		}
		filled = append(filled, one)
	}
	title := fmt.Sprintf("%s, as Prometheus saw the run %s of make bench-fleet", d.Title, name)
	return errors.Join(
		drawTo(filepath.Join(o.out, "dashboard.svg"), title, filled, over),
		drawTo(filepath.Join(r.root, "bin", "dashboard.png"), title, filled, over))
}

// shown is the run that the dashboard shows: a coordinated one, of four workers if there
// is, behind the first condition.
func (r *rig) shown() (string, span, bool) {
	for _, pattern := range []string{"policed/4:" + coordinated, "/4:" + coordinated, ":" + coordinated} {
		for _, name := range slices.Sorted(maps.Keys(r.spans)) {
			if strings.HasSuffix(name, pattern) {
				return name, r.spans[name], true
			}
		}
	}
	return "", span{}, false
}

// filledPanel is a panel with its lines.
type filledPanel struct {
	gridPanel
	names []string
	lines []series
}

func (p *prometheus) fill(ctx context.Context, panel gridPanel, over span) (filledPanel, error) {
	filled := filledPanel{gridPanel: panel}
	expressions := strings.NewReplacer("$__rate_interval", (4 * scrapeInterval).String(), "$namespace", ".*", "$transfer", ".*")
	for _, t := range panel.Targets {
		lines, err := p.queryRange(ctx, expressions.Replace(t.Expr), over)
		if err != nil {
			return filled, err
		}
		for _, line := range lines {
			filled.names = append(filled.names, legendName(t.LegendFormat, line.labels))
			filled.lines = append(filled.lines, line)
		}
	}
	if len(filled.lines) == 0 {
		return filled, errors.New("its queries find nothing")
	}
	return filled, nil
}

// legendName fills a legend such as "p50 {{prefix}}" with labels.
func legendName(format string, labels map[string]string) string {
	name := regexp.MustCompile(`{{\s*(\w+)\s*}}`).ReplaceAllStringFunc(format, func(field string) string {
		return labels[strings.Trim(field, "{} ")]
	})
	// A domain is an endpoint and a bucket; that of the benchmark is long and always the same.
	return regexp.MustCompile(`https?://[^/ ]+/`).ReplaceAllString(name, "")
}

const (
	panelWidth, panelHeight, headHeight = 6.2 * vg.Inch, 2.9 * vg.Inch, 0.35 * vg.Inch
	// legendLines is the most lines that a legend names; the others are there without.
	// Names are cut after so many letters, which is what a column has room for.
	legendLines, legendColumns, legendLetters = 9, 3, 28
)

// drawTo draws panels in two columns as SVG or PNG, by the file's name.
func drawTo(file, title string, panels []filledPanel, over span) error {
	rows := (len(panels) + 1) / 2
	width, height := 2*panelWidth, vg.Length(rows)*panelHeight+headHeight
	return figures.Draw(file, width, height, func(area draw.Canvas) error { return paint(area, title, panels, over) })
}

// paint draws a title and the panels.
func paint(area draw.Canvas, title string, panels []filledPanel, over span) error {
	area.FillText(draw.TextStyle{Color: color.Black, Font: figures.Sans(14), Handler: plot.DefaultTextHandler},
		vg.Point{X: vg.Points(10), Y: area.Max.Y - vg.Points(18)}, title)
	for i, p := range panels {
		left := vg.Length(i%2) * panelWidth
		bottom := area.Max.Y - headHeight - vg.Length(i/2+1)*panelHeight
		cell := draw.Canvas{Canvas: area.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: left + vg.Points(8), Y: bottom + vg.Points(4)},
			Max: vg.Point{X: left + panelWidth - vg.Points(14), Y: bottom + panelHeight - vg.Points(4)},
		}}
		if err := p.draw(cell, over); err != nil {
			return fmt.Errorf("draw the panel %q: %w", p.Title, err)
		}
	}
	return nil
}

// draw draws a panel with its legend below.
func (p filledPanel) draw(cell draw.Canvas, over span) error {
	scale, unit := p.scale()
	drawn := plot.New()
	figures.Style(drawn)
	drawn.Title.Text, drawn.Y.Label.Text = p.Title, unit
	drawn.Y.Min, drawn.Y.Tick.Marker, drawn.X.Tick.Marker = 0, figures.Plain{}, figures.Seconds{}
	drawn.X.Min, drawn.X.Max = 0, over.to.Sub(over.from).Seconds()
	drawn.Add(plotter.NewGrid())
	for i, s := range p.lines {
		if p.Type == timeline {
			s = s.level(i + 1)
		}
		for _, run := range s.runs(over, scale) {
			line, err := plotter.NewLine(run)
			if err != nil {
				return err
			}
			line.LineStyle = ink(i)
			drawn.Add(line)
		}
	}
	drawn.X.Min, drawn.X.Max = 0, over.to.Sub(over.from).Seconds()
	drawn.Y.Max = max(1.05*drawn.Y.Max, 1e-9)
	if p.Type == timeline {
		drawn.Y.Tick.Marker = plot.ConstantTicks(p.levels())
		drawn.Draw(cell)
		return nil
	}
	names := p.names[:min(len(p.names), legendLines)]
	lines := (len(names) + legendColumns - 1) / legendColumns
	drawn.Draw(draw.Crop(cell, 0, 0, vg.Points(float64(12*lines+4)), 0))
	for i, name := range names {
		if len(name) > legendLetters {
			name = name[:legendLetters] + "…"
		}
		entry := plot.NewLegend()
		entry.TextStyle.Font = figures.Sans(8)
		entry.Left, entry.ThumbnailWidth = true, vg.Points(14)
		entry.XOffs = vg.Points(30) + vg.Length(i%legendColumns)*(cell.Max.X-cell.Min.X-vg.Points(30))/legendColumns
		entry.YOffs = vg.Points(float64(12 * (lines - 1 - i/legendColumns)))
		entry.Add(name, figures.Key(ink(i)))
		entry.Draw(cell)
	}
	return nil
}

// timeline is the type of a panel that shows when each of its series is there.
const timeline = "state-timeline"

// levels names the height of each series of a timeline.
func (p filledPanel) levels() []plot.Tick {
	ticks := []plot.Tick{{Value: 0}}
	for i, name := range p.names {
		ticks = append(ticks, plot.Tick{Value: float64(i + 1), Label: name})
	}
	return ticks
}

// level is the series as a line at a height.
func (s series) level(height int) series {
	flat := series{labels: s.labels}
	for _, p := range s.points {
		flat.points = append(flat.points, point{p.at, float64(height)})
	}
	return flat
}

// runs are the stretches of a line without gaps, in seconds since the span began.
func (s series) runs(over span, scale float64) []plotter.XYs {
	var runs []plotter.XYs
	var run plotter.XYs
	for i, p := range s.points {
		if i > 0 && p.at.Sub(s.points[i-1].at) > 3*scrapeInterval/2 || math.IsNaN(p.value) {
			runs, run = append(runs, run), nil
		}
		if !math.IsNaN(p.value) {
			run = append(run, plotter.XY{X: p.at.Sub(over.from).Seconds(), Y: p.value * scale})
		}
	}
	runs = append(runs, run)
	return slices.DeleteFunc(runs, func(run plotter.XYs) bool { return len(run) < 2 })
}

// scale turns Grafana's units into such as can be read without it.
func (p filledPanel) scale() (factor float64, unit string) {
	switch p.FieldConfig.Defaults.Unit {
	case "Bps":
		return 1e-6, "MB/s"
	case "bytes":
		return 1e-9, "GB"
	case "percentunit":
		return 100, "%"
	case "s":
		return 1e3, "ms"
	case "reqps":
		return 1, "1/s"
	default:
		return 1, ""
	}
}

// ink is the style of the i-th line: eight colors, then dashed.
func ink(i int) draw.LineStyle {
	palette := []color.RGBA{
		{0x00, 0x5a, 0xb5, 0xff}, {0xdc, 0x6a, 0x00, 0xff}, {0x2a, 0x8f, 0x3a, 0xff}, {0xb0, 0x2a, 0x8f, 0xff},
		{0x6b, 0x6b, 0x6b, 0xff}, {0x00, 0xa0, 0xa8, 0xff}, {0xa8, 0x7a, 0x00, 0xff}, {0x80, 0x30, 0x20, 0xff},
	}
	style := draw.LineStyle{Color: palette[i%len(palette)], Width: vg.Points(1.3)}
	if i >= len(palette) {
		style.Dashes = []vg.Length{vg.Points(4), vg.Points(2)}
	}
	return style
}
