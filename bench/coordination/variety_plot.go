package main

import (
	"fmt"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"cargoship.dev/operator/bench/figures"
)

// draw draws the goodput of the subject and of the strongest others, sorted.
func (v variety) draw(file string) error {
	drawn := plot.New()
	figures.Style(drawn)
	drawn.Title.Text = "Goodput in random scenarios, sorted for each controller"
	drawn.X.Label.Text, drawn.Y.Label.Text = "scenarios with at most that goodput", "goodput over that of the optimum"
	drawn.Y.Tick.Marker, drawn.X.Tick.Marker = figures.Plain{}, figures.Plain{}
	drawn.Legend.TextStyle.Font = figures.Sans(10)
	drawn.Legend.XOffs, drawn.Legend.YOffs, drawn.Legend.Padding = -vg.Points(8), vg.Points(6), vg.Points(3)
	drawn.Add(plotter.NewGrid())
	names := append([]string{subject}, v.strongest()...)
	// Ours last, so that it lies on top.
	for i, name := range slices.Backward(names) {
		line, err := v.sorted(name)
		if err != nil {
			return fmt.Errorf("draw %s: %w", name, err)
		}
		line.LineStyle = tint(i)
		drawn.Add(line)
	}
	for i, name := range names {
		drawn.Legend.Add(name, figures.Key(tint(i)))
	}
	drawn.X.Min, drawn.X.Max, drawn.Y.Min, drawn.Y.Max = 1, float64(max(2, len(v.compared))), 0, 1.05
	return figures.Draw(file, 9*vg.Inch, 4*vg.Inch, func(c draw.Canvas) error {
		drawn.Draw(draw.Crop(c, vg.Points(6), -vg.Points(12), vg.Points(6), -vg.Points(6)))
		return nil
	})
}

func (v variety) sorted(controller string) (*plotter.Line, error) {
	var points plotter.XYs
	for i, y := range slices.Sorted(slices.Values(v.values(controller, goodput))) {
		points = append(points, plotter.XY{X: float64(i + 1), Y: min(y, 1.05)})
	}
	return plotter.NewLine(points)
}

// tint is the style of the i-th of five curves, ours first, in colors that also differ for
// those who see few.
func tint(i int) draw.LineStyle {
	if i < 2 {
		return ink(i)
	}
	palette := []color.Color{
		color.RGBA{R: 0x00, G: 0x9e, B: 0x73, A: 0xff},
		color.RGBA{R: 0xcc, G: 0x79, B: 0xa7, A: 0xff},
		color.Gray{Y: 0x70},
	}
	return draw.LineStyle{Color: palette[i-2], Width: vg.Points(1.2)}
}
