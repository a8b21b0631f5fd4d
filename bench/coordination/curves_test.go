package main

import (
	"bytes"
	"math"
	"testing"

	"cargoship.dev/operator/internal/sim"
)

// wave is a run of so many tenths of a second.
func wave(tenths int, phase float64) []sim.Point {
	points := make([]sim.Point, tenths)
	for i := range points {
		t := float64(i) / 10
		points[i] = sim.Point{
			Seconds: t, Window: 100 + int(50*math.Sin(t/7+phase)), Throughput: 1e9 + 2e8*math.Sin(t/5+phase),
			Throttled: max(0, 40*math.Sin(t/11+phase)), Capacity: 1.25e9,
		}
		if t > 30 {
			points[i].Rate = 300 + 20*math.Sin(t/3+phase)
		}
	}
	return points
}

func TestFigureIsSmallAndRepeatable(t *testing.T) {
	curves := []curve{{"adaptive", wave(6000, 0)}, {"bbr", wave(6000, 2)}}
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := drawCurves(b, "a scenario", curves); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two figures of the same curves differ")
	}
	if size := first.Len(); size > 60_000 {
		t.Errorf("the figure has %d bytes, want at most 60000", size)
	}
	for _, want := range []string{"a scenario", "throughput, MB/s", "window, requests", "rate allowed, 1/s", "throttled, 1/s", "time, s", "adaptive", "bbr", "optimum"} {
		if !bytes.Contains(first.Bytes(), []byte(want)) {
			t.Errorf("the figure does not say %q", want)
		}
	}
}

func TestEmptyPanelsAreLeftOut(t *testing.T) {
	points := wave(1000, 0)
	for i := range points {
		points[i].Rate, points[i].Throttled = 0, 0
	}
	var svg bytes.Buffer
	if err := drawCurves(&svg, "a scenario", []curve{{"adaptive", points}}); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"throughput, MB/s": true, "window, requests": true, "rate allowed, 1/s": false, "throttled, 1/s": false} {
		if got := bytes.Contains(svg.Bytes(), []byte(text)); got != want {
			t.Errorf("the figure says %q: %v, want %v", text, got, want)
		}
	}
}
