package main

import (
	"fmt"
	"image/color"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"cargoship.dev/operator/bench/figures"
)

// quantity is one column of the plot.
type quantity struct {
	label string
	of    func(r report, c condition, one result) float64
}

func quantities() []quantity {
	return []quantity{
		{"goodput, % of the capacity", func(_ report, c condition, one result) float64 { return 100 * one.Alone.BytesPerSecond / c.capacity }},
		{"requests throttled, %", func(_ report, _ condition, one result) float64 { return 100 * one.Alone.throttledShare() }},
		{"median time to be stored, s", func(_ report, _ condition, one result) float64 { return one.Alone.StoredP50 }},
		{"lost by the neighbor, %", func(r report, _ condition, one result) float64 { return 100 * max(0, r.loss(one)) }},
	}
}

// palette has the colors of the fleets, which also differ for those who see few.
func palette() []color.Color {
	return []color.Color{color.RGBA{0x00, 0x5a, 0xb5, 0xff}, color.RGBA{0xf0, 0xb0, 0x60, 0xff}, color.RGBA{0xdc, 0x4a, 0x00, 0xff}}
}

// writePlot draws each quantity under each condition, by the number of workers.
func (r report) writePlot(file string) error {
	return figures.Draw(file, 12*vg.Inch, 5.6*vg.Inch, r.paint)
}

func (r report) paint(area draw.Canvas) error {
	var rows [][]*plot.Plot
	for _, c := range conditions() {
		var row []*plot.Plot
		for i, q := range quantities() {
			p, err := r.bars(c, q)
			if err != nil {
				return fmt.Errorf("plot %s: %w", q.label, err)
			}
			if i == 0 {
				p.Title.Text = c.name
			}
			row = append(row, p)
		}
		rows = append(rows, row)
	}
	tiles := draw.Tiles{Rows: len(rows), Cols: len(rows[0]), PadX: vg.Points(14), PadY: vg.Points(10),
		PadTop: vg.Points(6), PadBottom: vg.Points(24), PadLeft: vg.Points(6), PadRight: vg.Points(8)}
	for i, line := range plot.Align(rows, tiles, area) {
		for j, cell := range line {
			rows[i][j].Draw(cell)
		}
	}
	legend(area)
	return nil
}

// bars draws a quantity of all fleets side by side.
func (r report) bars(c condition, q quantity) (*plot.Plot, error) {
	const width = 0.13 * vg.Inch
	p := plot.New()
	figures.Style(p)
	p.Y.Label.Text, p.Y.Min, p.Y.Tick.Marker = q.label, 0, figures.Plain{}
	p.Add(plotter.NewGrid())
	var names []string
	for i, f := range fleets() {
		var values plotter.Values
		names = nil
		for _, s := range scenarios() {
			if s.condition.name != c.name || s.fleet.name != f.name {
				continue
			}
			one, _ := r.find(c, s.workers, f.name)
			values = append(values, q.of(r, c, one))
			names = append(names, strconv.Itoa(int(s.workers)))
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		bars.Color, bars.LineStyle.Width = palette()[i], 0
		bars.Offset = vg.Length(i-1) * width
		p.Add(bars)
	}
	p.NominalX(names...)
	p.X.Label.Text = "workers"
	if p.Y.Max *= 1.05; p.Y.Max == 0 {
		p.Y.Max = 1
	}
	return p, nil
}

// legend names the fleets below the plot.
func legend(area draw.Canvas) {
	for i, f := range fleets() {
		entry := plot.NewLegend()
		entry.TextStyle.Font = figures.Sans(10)
		entry.Left, entry.XOffs, entry.YOffs = true, vg.Points(float64(60+150*i)), vg.Points(4)
		entry.Add(f.name, figures.Key(draw.LineStyle{Color: palette()[i], Width: vg.Points(6)}))
		entry.Draw(area)
	}
}
