package main

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/internal/sim"
)

// pointsDrawn bounds the points of a curve, and so the size of a figure.
const pointsDrawn = 200

// curve is what one controller did over time.
type curve struct {
	name   string
	points []sim.Point
}

// panel is one quantity of a figure.
type panel struct {
	label string
	value func(sim.Point) float64
}

func panels() []panel {
	return []panel{
		{"throughput, MB/s", func(p sim.Point) float64 { return p.Throughput / 1e6 }},
		{"window, requests", func(p sim.Point) float64 { return float64(p.Window) }},
		{"rate allowed, 1/s", func(p sim.Point) float64 {
			if p.Rate <= 0 {
				return math.NaN() // only the window limits
			}
			return p.Rate
		}},
		{"throttled, 1/s", func(p sim.Point) float64 { return p.Throttled }},
	}
}

// ink is the style of the i-th curve, in colors that also differ for those who see
// few; ours is the first.
func ink(i int) draw.LineStyle {
	palette := []color.Color{
		color.RGBA{R: 0x00, G: 0x5a, B: 0xb5, A: 0xff},
		color.RGBA{R: 0xdc, G: 0x6a, B: 0x00, A: 0xff},
	}
	return draw.LineStyle{Color: palette[i], Width: vg.Points(1.2)}
}

// optimum is the style of what the optimum carries.
func optimum() draw.LineStyle {
	return draw.LineStyle{Color: color.Gray{Y: 0x90}, Width: vg.Points(1.2), Dashes: []vg.Length{vg.Points(4), vg.Points(3)}}
}

// drawCurves writes a figure of the curves as SVG, ours first.
func drawCurves(to io.Writer, title string, curves []curve) error {
	shown := withValues(curves)
	canvas := vgsvg.New(9*vg.Inch, vg.Length(len(shown))*2*vg.Inch)
	if err := drawPanels(draw.New(canvas), title, shown, curves); err != nil {
		return fmt.Errorf("draw %q: %w", title, err)
	}
	if err := figures.WriteSVG(to, canvas); err != nil {
		return fmt.Errorf("write the figure %q: %w", title, err)
	}
	return nil
}

// withValues are the panels that have something to show: where nobody paces or nothing
// is throttled, those would be empty.
func withValues(curves []curve) []panel {
	return slices.DeleteFunc(panels(), func(p panel) bool {
		return !slices.ContainsFunc(curves, func(c curve) bool {
			return slices.ContainsFunc(c.points, func(x sim.Point) bool { return p.value(x) > 0 })
		})
	})
}

func drawPanels(canvas draw.Canvas, title string, shown []panel, curves []curve) error {
	var rows [][]*plot.Plot
	for i, p := range shown {
		drawn, err := p.plot(curves)
		if err != nil {
			return err
		}
		if i == 0 {
			drawn.Title.Text = title
		}
		if i == len(shown)-1 {
			drawn.X.Label.Text = "time, s"
		}
		rows = append(rows, []*plot.Plot{drawn})
	}
	tiles := draw.Tiles{
		Rows: len(rows), Cols: 1, PadY: vg.Points(8),
		PadTop: vg.Points(6), PadBottom: vg.Points(20), PadLeft: vg.Points(6), PadRight: vg.Points(12),
	}
	canvases := plot.Align(rows, tiles, canvas)
	for i, row := range rows {
		row[0].Draw(canvases[i][0])
	}
	legend(canvas, curves)
	return nil
}

// legend names the curves below the figure, where nothing runs through the names.
func legend(canvas draw.Canvas, curves []curve) {
	const apart = 160
	for i := range len(curves) + 1 {
		entry := plot.NewLegend()
		entry.TextStyle.Font = figures.Sans(10)
		entry.Left, entry.XOffs, entry.YOffs = true, vg.Points(float64(60+apart*i)), vg.Points(4)
		if i < len(curves) {
			entry.Add(curves[i].name, figures.Key(ink(i)))
		} else {
			entry.Add("optimum", figures.Key(optimum()))
		}
		entry.Draw(canvas)
	}
}

// plot draws one quantity of all curves.
func (p panel) plot(curves []curve) (*plot.Plot, error) {
	drawn := plot.New()
	figures.Style(drawn)
	drawn.Y.Label.Text = p.label
	drawn.Y.Min, drawn.Y.Max, drawn.Y.Tick.Marker = 0, 1, figures.Plain{}
	drawn.X.Min, drawn.X.Tick.Marker = 0, figures.Seconds{}
	drawn.Add(plotter.NewGrid())
	if p.label == panels()[0].label {
		if err := capacity(drawn, curves[0]); err != nil {
			return nil, err
		}
	}
	// Ours last, so that it lies on top.
	for i := len(curves) - 1; i >= 0; i-- {
		lines, err := p.lines(curves[i], ink(i))
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			drawn.Add(line)
		}
	}
	drawn.Y.Max *= 1.05
	if points := curves[0].points; len(points) > 0 {
		drawn.X.Max = points[len(points)-1].Seconds
	}
	return drawn, nil
}

// lines of one curve, interrupted where there is no value.
func (p panel) lines(c curve, ink draw.LineStyle) ([]*plotter.Line, error) {
	var lines []*plotter.Line
	for _, run := range p.runs(c) {
		line, err := plotter.NewLine(run)
		if err != nil {
			return nil, fmt.Errorf("draw %s of %s: %w", p.label, c.name, err)
		}
		line.LineStyle = ink
		lines = append(lines, line)
	}
	return lines, nil
}

// runs are the stretches of at least two points with a value.
func (p panel) runs(c curve) []plotter.XYs {
	var runs []plotter.XYs
	var run plotter.XYs
	for _, x := range thin(c.points, pointsDrawn) {
		y := p.value(x)
		if !math.IsNaN(y) {
			run = append(run, plotter.XY{X: x.Seconds, Y: y})
			continue
		}
		if len(run) > 1 {
			runs = append(runs, run)
		}
		run = nil
	}
	if len(run) > 1 {
		runs = append(runs, run)
	}
	return runs
}

// capacity draws what the optimum carries.
func capacity(drawn *plot.Plot, c curve) error {
	var points plotter.XYs
	for _, p := range thin(c.points, pointsDrawn) {
		points = append(points, plotter.XY{X: p.Seconds, Y: p.Capacity / 1e6})
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return fmt.Errorf("draw the optimum: %w", err)
	}
	line.LineStyle = optimum()
	drawn.Add(line)
	return nil
}

// thin makes of the points at most so many: flows averaged, the window, the rate and
// what the optimum carries as the last of each.
func thin(points []sim.Point, most int) []sim.Point {
	step := (len(points) + most - 1) / most
	if step <= 1 {
		return points
	}
	var kept []sim.Point
	for i := 0; i < len(points); i += step {
		part := points[i:min(i+step, len(points))]
		p := part[len(part)-1]
		p.Throughput, p.Throttled = 0, 0
		for _, x := range part {
			p.Throughput += x.Throughput / float64(len(part))
			p.Throttled += x.Throttled / float64(len(part))
		}
		kept = append(kept, p)
	}
	return kept
}
