package main

import (
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// writePlot draws, for each scenario, how long each tool took relative to ours.
func (r report) writePlot(file string) error {
	p := plot.New()
	p.Title.Text = "Wall time relative to cargoship (1 = as long, less is better)"
	p.Y.Min = 0
	p.Y.Label.Text = "median of paired ratios"
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name())
	}
	p.NominalX(names...)
	for i, t := range barTools() {
		if err := r.bars(p, t, i); err != nil {
			return fmt.Errorf("plot %s: %w", t.name, err)
		}
	}
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/7, draw.XRight, draw.YTop
	// Room for the legend above the bars, and for the last bars beside the edge.
	p.Y.Max *= 1.3
	p.X.Max += 0.3
	if err := p.Save(11*vg.Inch, 4.5*vg.Inch, file); err != nil {
		return fmt.Errorf("write the plot: %w", err)
	}
	return nil
}

// barTool is a tool with its color.
type barTool struct {
	name  string
	color color.RGBA
}

func barTools() []barTool {
	return []barTool{
		{ours, color.RGBA{0x1b, 0x6e, 0xc2, 0xff}},
		{oursPacked, color.RGBA{0x7f, 0xb3, 0xe6, 0xff}},
		{"s5cmd", color.RGBA{0xe0, 0x8a, 0x1e, 0xff}},
		{"rclone", color.RGBA{0x8a, 0x8a, 0x8a, 0xff}},
		{"juicefs sync", color.RGBA{0x3f, 0x9e, 0x5a, 0xff}},
	}
}

// bars adds a tool's bars; those of tools that are many times slower would hide the rest.
func (r report) bars(p *plot.Plot, t barTool, i int) error {
	const width = 0.13 * vg.Inch
	var values plotter.Values
	for _, s := range scenarios() {
		values = append(values, r.relative(s.name(), t.name))
	}
	bars, err := plotter.NewBarChart(values, width)
	if err != nil {
		return err
	}
	bars.Color, bars.LineStyle.Width = t.color, 0
	bars.Offset = vg.Length(i)*width - vg.Length(len(barTools())-1)/2*width
	p.Add(bars)
	p.Legend.Add(t.name, bars)
	return nil
}

// relative is how long a tool took, ours being 1, and 0 where it has no result.
func (r report) relative(scenario, tool string) float64 {
	reference, _ := r.find(scenario, ours)
	one, found := r.find(scenario, tool)
	if !found || one.problem() != "" || reference.problem() != "" {
		return 0
	}
	if v := ratio(reference, one, seconds).Median; v > 0 {
		return 1 / v
	}
	return 0
}
