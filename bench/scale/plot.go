package main

import (
	"errors"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"cargoship.dev/operator/bench/figures"
)

// writePlot draws the time of some steps over the number of files, both in powers of ten.
func (r report) writePlot(file string) error {
	p := plot.New()
	figures.Style(p)
	p.Title.Text = "Seconds by number of files"
	p.X.Label.Text, p.Y.Label.Text = "files", "seconds"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	var problems []error
	for _, one := range []struct {
		step  string
		color color.RGBA
	}{
		{copying, color.RGBA{0x1b, 0x6e, 0xc2, 0xff}},
		{reading, color.RGBA{0x8a, 0x8a, 0x8a, 0xff}},
		{listing, color.RGBA{0x3a, 0x9a, 0x4d, 0xff}},
		{restoring, color.RGBA{0xe0, 0x8a, 0x1e, 0xff}},
	} {
		problems = append(problems, r.curve(p, one.step, one.color))
	}
	problems = append(problems, figures.Draw(file, 8*vg.Inch, 4.5*vg.Inch, func(c draw.Canvas) error {
		p.Draw(c)
		return nil
	}))
	return errors.Join(problems...)
}

// curve adds the line of one step.
func (r report) curve(p *plot.Plot, name string, c color.RGBA) error {
	var points plotter.XYs
	for _, column := range r.Columns {
		for _, s := range column.Steps {
			if s.Name == name && s.Seconds > 0 {
				points = append(points, plotter.XY{X: float64(column.Files), Y: s.Seconds})
			}
		}
	}
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, line.Width, dots.Color, dots.Shape = c, vg.Points(2), c, draw.CircleGlyph{}
	p.Add(line, dots)
	p.Legend.Add(name, line)
	return nil
}
