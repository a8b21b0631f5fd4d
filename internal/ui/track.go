package ui

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// capacity is how many points a track has at most: about as many as a wide curve has
// columns. At one point every two seconds it is full after 24 minutes.
const capacity = 720

// Metric is what a curve shows.
type Metric string

// Metrics, with their units.
const (
	Throughput Metric = "throughput" // bytes per second
	Window     Metric = "window"     // requests in flight
	Rate       Metric = "rate"       // requests per second
	Throttled  Metric = "throttled"  // percent of recent requests
	Done       Metric = "done"       // bytes so far: done, and sent by a worker
	P50        Metric = "p50"        // milliseconds
	P99        Metric = "p99"        // milliseconds
)

// Scope is what a curve is about.
type Scope string

// Scopes of curves: a run as a whole, one of its prefixes, one of its workers.
const (
	Whole    Scope = "whole"
	ByPrefix Scope = "prefix"
	ByWorker Scope = "worker"
)

// Key names a curve.
type Key struct {
	Scope  Scope  `json:"scope"`
	Name   string `json:"name"`
	Metric Metric `json:"metric"`
}

// Track is a set of curves over the same times. The zero value is empty. Once it is full it
// merges older points, so that it always covers the whole time, the older the coarser.
type Track struct {
	generation int // counts the merges
	times      []int64
	weights    []int // how many samples each point stands for
	values     map[Key][]float64
}

// Add appends a point to each curve; a curve that the sample lacks has a gap there. Times
// that do not ascend are ignored.
func (t *Track) Add(at time.Time, sample map[Key]float64) {
	ms := at.UnixMilli()
	if n := len(t.times); n > 0 && ms <= t.times[n-1] {
		return
	}
	if len(t.times) >= capacity {
		t.merge()
	}
	if t.values == nil {
		t.values = map[Key][]float64{}
	}
	for key := range sample {
		if _, known := t.values[key]; !known {
			t.values[key] = gaps(len(t.times))
		}
	}
	t.times, t.weights = append(t.times, ms), append(t.weights, 1)
	for key, list := range t.values {
		value, ok := sample[key]
		if !ok {
			value = math.NaN()
		}
		t.values[key] = append(list, value)
	}
}

func gaps(n int) []float64 {
	list := make([]float64, n, capacity)
	for i := range list {
		list[i] = math.NaN()
	}
	return list
}

// The newest points stay as they are; of the others so many are merged at once, since pages
// take the whole track anew after that.
const (
	unmerged = capacity / 4
	freed    = capacity / 4
)

// merge makes one point of two neighbors that stand for as many samples, the smallest first:
// at the later time, with the mean of what is known.
func (t *Track) merge() {
	t.generation++
	want := len(t.times) - freed
	for weight := 1; len(t.times) > want; weight *= 2 {
		t.mergeWeight(weight)
	}
}

func (t *Track) mergeWeight(weight int) {
	older, n := len(t.times)-unmerged, 0
	for i := 0; i < len(t.times); i++ {
		pair := i+1 < older && t.weights[i] <= weight && t.weights[i+1] <= weight
		for _, list := range t.values {
			if list[n] = list[i]; pair {
				list[n] = mean(list[i], t.weights[i], list[i+1], t.weights[i+1])
			}
		}
		t.weights[n] = t.weights[i]
		if pair {
			t.weights[n] += t.weights[i+1]
			i++
		}
		t.times[n] = t.times[i]
		n++
	}
	t.times, t.weights = t.times[:n], t.weights[:n]
	for key, list := range t.values {
		t.values[key] = list[:n]
	}
}

// mean is that of two values by their weights; what is unknown does not count.
func mean(a float64, weightA int, b float64, weightB int) float64 {
	switch {
	case math.IsNaN(a):
		return b
	case math.IsNaN(b):
		return a
	}
	return (a*float64(weightA) + b*float64(weightB)) / float64(weightA+weightB)
}

// Mark is how far a reader of a track has come; the zero value is its beginning.
type Mark struct {
	generation int
	time       int64
}

// Piece is a part of a track.
type Piece struct {
	// Reset says that it begins the track anew.
	Reset bool `json:"reset"`
	// Times are in milliseconds since the epoch, Curves have a value for each.
	Times  []int64 `json:"times"`
	Curves []Curve `json:"curves"`
}

// Curve is one of a piece.
type Curve struct {
	Key
	Values Values `json:"values"`
}

// Since returns what a reader has not got yet, and how far it has come then.
func (t *Track) Since(m Mark) (Piece, Mark) {
	from, _ := slices.BinarySearch(t.times, m.time+1)
	reset := m.time == 0 || m.generation != t.generation
	if reset {
		from = 0
	}
	p := Piece{Reset: reset, Times: append([]int64{}, t.times[from:]...), Curves: []Curve{}}
	for _, key := range slices.SortedFunc(maps.Keys(t.values), compareKeys) {
		p.Curves = append(p.Curves, Curve{key, slices.Clone(t.values[key][from:])})
	}
	if n := len(t.times); n > 0 {
		m = Mark{t.generation, t.times[n-1]}
	}
	return p, m
}

func compareKeys(a, b Key) int {
	if by := strings.Compare(string(a.Scope), string(b.Scope)); by != 0 {
		return by
	}
	if by := strings.Compare(a.Name, b.Name); by != 0 {
		return by
	}
	return strings.Compare(string(a.Metric), string(b.Metric))
}

// Thumbnail is one curve with at most so many points, each the mean of those it stands for.
func (t *Track) Thumbnail(key Key, points int) Values {
	list := t.values[key]
	if len(list) <= points {
		return slices.Clone(list)
	}
	out := make(Values, points)
	for i := range out {
		out[i] = math.NaN()
		sum, n := 0.0, 0
		for _, v := range list[i*len(list)/points : (i+1)*len(list)/points] {
			if !math.IsNaN(v) {
				sum, n = sum+v, n+1
			}
		}
		if n > 0 {
			out[i] = sum / float64(n)
		}
	}
	return out
}

// Values are those of a curve; NaN is a gap, null in JSON.
type Values []float64

// MarshalJSON implements json.Marshaler.
func (v Values) MarshalJSON() ([]byte, error) {
	out := bytes.NewBuffer(make([]byte, 0, 8*len(v)+2))
	out.WriteByte('[')
	for i, x := range v {
		if i > 0 {
			out.WriteByte(',')
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			out.WriteString("null")
		} else {
			out.Write(strconv.AppendFloat(out.AvailableBuffer(), x, 'f', -1, 64))
		}
	}
	out.WriteByte(']')
	return out.Bytes(), nil
}

var _ json.Marshaler = Values(nil)
