package figures

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// WriteSVG writes a canvas as SVG that names fonts to fall back on, where Liberation is
// not there.
func WriteSVG(to io.Writer, canvas *vgsvg.Canvas) error {
	var text bytes.Buffer
	if _, err := canvas.WriteTo(&text); err != nil {
		return err
	}
	_, err := to.Write(bytes.ReplaceAll(text.Bytes(), []byte("font-family:Liberation Sans"),
		[]byte("font-family:Liberation Sans,Arial,sans-serif")))
	return err
}

// Draw draws on a canvas of some size and writes it as the file's name says, as SVG or
// as PNG.
func Draw(file string, width, height vg.Length, paint func(draw.Canvas) error) error {
	var canvas vg.CanvasSizer
	var write func(io.Writer) error
	if filepath.Ext(file) == ".png" {
		image := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(110))
		canvas, write = image, func(w io.Writer) error {
			_, err := vgimg.PngCanvas{Canvas: image}.WriteTo(w)
			return err
		}
	} else {
		svg := vgsvg.New(width, height)
		canvas, write = svg, func(w io.Writer) error { return WriteSVG(w, svg) }
	}
	area := draw.New(canvas)
	area.SetColor(color.White)
	area.Fill(area.Rectangle.Path())
	if err := paint(area); err != nil {
		return fmt.Errorf("draw %s: %w", file, err)
	}
	return WritePage(file, write)
}

// Style sets fonts and sizes, which gonum keeps for each text.
func Style(p *plot.Plot) {
	p.Title.TextStyle.Font = Sans(13)
	p.Title.Padding = vg.Points(6)
	p.X.Label.TextStyle.Font, p.Y.Label.TextStyle.Font = Sans(11), Sans(11)
	p.X.Tick.Label.Font, p.Y.Tick.Label.Font = Sans(10), Sans(10)
}

// Sans is the font of figures, in points.
func Sans(size float64) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)}
}

// Key is the sample of a line in a legend.
type Key draw.LineStyle

// Thumbnail implements plot.Thumbnailer.
func (k Key) Thumbnail(c *draw.Canvas) {
	y := c.Center().Y
	c.StrokeLine2(draw.LineStyle(k), c.Min.X, y, c.Max.X, y)
}

// Plain marks an axis with numbers as short as they can be.
type Plain struct{}

// Ticks implements plot.Ticker.
func (Plain) Ticks(from, to float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(from, to)
	for i := range ticks {
		if !ticks[i].IsMinor() {
			// Sums of steps that are no binary fractions have digits at their end.
			ticks[i].Label = strconv.FormatFloat(math.Round(ticks[i].Value*1e6)/1e6, 'f', -1, 64)
		}
	}
	return ticks
}

// Seconds marks an axis of time at round numbers, about ten of them.
type Seconds struct{}

// Ticks implements plot.Ticker.
func (Seconds) Ticks(from, to float64) []plot.Tick {
	step := 1.
	for _, step = range []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600} {
		if (to-from)/step <= 10 {
			break
		}
	}
	var ticks []plot.Tick
	for at := math.Ceil(from/step) * step; at <= to; at += step {
		ticks = append(ticks, plot.Tick{Value: at, Label: fmt.Sprintf("%.0f", at)})
	}
	return ticks
}
