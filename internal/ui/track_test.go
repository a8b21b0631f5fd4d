package ui

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var (
	throughput = Key{Whole, "", Throughput}
	window     = Key{Whole, "", Window}
)

// A reader that takes pieces whenever it likes has the whole track, as the page puts it
// together.
func TestPiecesAreTheTrack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var track Track
		var mark Mark
		times, curves := []int64{}, map[Key][]float64{}
		n := rapid.IntRange(1, 3*capacity).Draw(t, "points")
		every := rapid.IntRange(1, 100).Draw(t, "every")
		late := rapid.IntRange(0, n).Draw(t, "late")
		for i := range n {
			sample := map[Key]float64{throughput: float64(i)}
			if i >= late {
				sample[window] = 1
			}
			track.Add(time.UnixMilli(int64(1+2000*i)), sample)
			if i%every != 0 && i != n-1 {
				continue
			}
			var p Piece
			p, mark = track.Since(mark)
			if p.Reset {
				times, curves = nil, map[Key][]float64{}
			}
			for _, c := range p.Curves {
				for len(curves[c.Key]) < len(times) {
					curves[c.Key] = append(curves[c.Key], math.NaN())
				}
				curves[c.Key] = append(curves[c.Key], c.Values...)
			}
			times = append(times, p.Times...)
		}
		if diff := cmp.Diff(track.times, times) + cmp.Diff(track.values, curves, cmpopts.EquateNaNs()); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A full track covers the same time as before, with as much in it.
func TestAFullTrackKeepsItsMean(t *testing.T) {
	var track Track
	const n = 10 * capacity
	for i := range n {
		track.Add(time.UnixMilli(int64(1000*(i+1))), map[Key]float64{throughput: 7})
	}
	if len(track.times) > capacity || !slices.IsSorted(track.times) || track.times[len(track.times)-1] != 1000*n {
		t.Errorf("%d points to %d", len(track.times), track.times[len(track.times)-1])
	}
	even, last := 1000*n/capacity, int64(0)
	for _, ms := range track.times {
		if ms-last > int64(8*even) {
			t.Errorf("between %d and %d there is nothing; evenly spaced, points were %d ms apart", last, ms, even)
		}
		last = ms
	}
	for _, v := range track.values[throughput] {
		if v != 7 {
			t.Fatalf("a mean of sevens is %v", v)
		}
	}
}

func TestMergingTwoPoints(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct{ a, b, want float64 }{{2, 6, 3}, {nan, 4, 4}, {2, nan, 2}, {nan, nan, nan}} {
		if got := mean(c.a, 3, c.b, 1); got != c.want && !(math.IsNaN(got) && math.IsNaN(c.want)) {
			t.Errorf("the mean of %v and %v is %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestTimesAscend(t *testing.T) {
	var track Track
	for _, ms := range []int64{5, 5, 4, 6} {
		track.Add(time.UnixMilli(ms), map[Key]float64{throughput: 1})
	}
	if diff := cmp.Diff([]int64{5, 6}, track.times); diff != "" {
		t.Error(diff)
	}
}

func TestGapsAreNull(t *testing.T) {
	text, err := json.Marshal(Values{1.5, math.NaN(), math.Inf(1), 12345678901})
	if err != nil || string(text) != "[1.5,null,null,12345678901]" {
		t.Errorf("%s, %v", text, err)
	}
	var back []*float64
	if err := json.Unmarshal(text, &back); err != nil {
		t.Error(err)
	}
}

func TestAThumbnailHasTheMeansOfWhatItStandsFor(t *testing.T) {
	var track Track
	for i := range 6 {
		sample := map[Key]float64{window: 0}
		if i != 2 && i < 4 {
			sample[throughput] = float64(i)
		}
		track.Add(time.UnixMilli(int64(i+1)), sample)
	}
	if diff := cmp.Diff(Values{0.5, 3, math.NaN()}, track.Thumbnail(throughput, 3), cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}
