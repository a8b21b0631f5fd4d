package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cargoship.dev/operator/internal/convert"
)

// Sending is what the sender has measured of its requests for files and archives; those for
// bookkeeping are not counted.
type Sending struct {
	// By is the program that measured.
	By      string    `json:"by"`
	Started time.Time `json:"started"`
	// Seconds is the time from then to the last report of what was sent.
	Seconds float64 `json:"seconds"`
	// Bytes is the payload that was accepted, of files that were tried again each time.
	Bytes int64 `json:"bytes"`
	// Requests were started. Of these Throttled were throttled, and Failed failed otherwise.
	Requests  int64 `json:"requests"`
	Throttled int64 `json:"throttled"`
	Failed    int64 `json:"failed"`
	Curve     Curve `json:"curve"`
}

// Curve is what was sent and throttled in equal intervals, one after the other.
type Curve struct {
	SecondsEach float64 `json:"secondsEach"`
	Bytes       []int64 `json:"bytes"`
	Throttled   []int64 `json:"throttled"`
}

const (
	// maxPoints bounds the intervals of a curve, whatever it takes.
	maxPoints = 240
	// firstInterval is how long they are at first: several reports of cargoship copy.
	firstInterval = 500 * time.Millisecond
)

// Recorder makes a curve of cumulative counters. It is for one goroutine.
type Recorder struct {
	begun, last      time.Time
	each             time.Duration
	bytes, throttled []int64
	// counters are those of the last call.
	counters [2]int64
}

// NewRecorder returns one whose curve begins at a time.
func NewRecorder(now time.Time) *Recorder {
	return &Recorder{begun: now, last: now, each: firstInterval}
}

// Count takes in the counters as they are at a time, which is not before that of the last call.
func (r *Recorder) Count(now time.Time, bytes, throttled int64) {
	at := int(now.Sub(r.begun) / r.each)
	for ; at >= maxPoints; at = int(now.Sub(r.begun) / r.each) {
		r.bytes, r.throttled = halved(r.bytes), halved(r.throttled)
		r.each *= 2
	}
	for len(r.bytes) <= at {
		r.bytes, r.throttled = append(r.bytes, 0), append(r.throttled, 0)
	}
	r.bytes[at] += bytes - r.counters[0]
	r.throttled[at] += throttled - r.counters[1]
	r.last, r.counters = now, [2]int64{bytes, throttled}
}

// halved adds up pairs of intervals.
func halved(points []int64) []int64 {
	for i, n := range points {
		if i%2 == 0 {
			points[i/2] = n
		} else {
			points[i/2] += n
		}
	}
	return points[:(len(points)+1)/2]
}

// Sending is what was recorded, by a program.
func (r *Recorder) Sending(by string) *Sending {
	return &Sending{
		By: by, Started: r.begun.UTC(), Seconds: r.last.Sub(r.begun).Seconds(), Bytes: r.counters[0], Throttled: r.counters[1],
		Curve: Curve{SecondsEach: r.each.Seconds(), Bytes: append([]int64{}, r.bytes...), Throttled: append([]int64{}, r.throttled...)},
	}
}

// rows are its figures.
func (s *Sending) rows() []row {
	all := []row{
		{"sent", fmt.Sprintf("%s in %s from %s on, by %s", convert.Bytes(s.Bytes),
			time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond), s.Started.Format(time.RFC3339), plain(s.By))},
		{"requests", fmt.Sprintf("%d, of which %d throttled and %d failed otherwise", s.Requests, s.Throttled, s.Failed)},
	}
	if most := s.Curve.most(); most > 0 {
		all = append(all, row{"throughput", fmt.Sprintf("%s/s on average, at most %s/s over %g s",
			convert.Bytes(perSecond(s.Bytes, s.Seconds)), convert.Bytes(perSecond(most, s.Curve.SecondsEach)), s.Curve.SecondsEach)})
	}
	return all
}

func perSecond(bytes int64, seconds float64) int64 {
	if seconds <= 0 {
		return 0
	}
	return int64(float64(bytes) / seconds)
}

// Line is the curve of bytes as points of a picture of 1000 by 120; "" if nothing was sent.
func (c Curve) Line() string {
	most := c.most()
	if most == 0 {
		return ""
	}
	var points []string
	for i, n := range c.Bytes {
		// An interval is a step.
		y := 119 - 118*float64(n)/float64(most)
		for _, x := range []int{i, i + 1} {
			points = append(points, fmt.Sprintf("%.1f,%.1f", float64(x)*1000/float64(len(c.Bytes)), y))
		}
	}
	return strings.Join(points, " ")
}

// most is what was sent in the interval with most bytes.
func (c Curve) most() int64 { return slices.Max(append([]int64{0}, c.Bytes...)) }

// negative tells whether any count is below 0, or the curve is not one.
func (s *Sending) negative() bool {
	if s == nil {
		return false
	}
	least := min(s.Bytes, s.Requests, s.Throttled, s.Failed)
	for _, n := range append(append([]int64{}, s.Curve.Bytes...), s.Curve.Throttled...) {
		least = min(least, n)
	}
	return least < 0 || s.Seconds < 0 || len(s.Curve.Bytes) > 0 && s.Curve.SecondsEach <= 0 || len(s.Curve.Bytes) != len(s.Curve.Throttled)
}
