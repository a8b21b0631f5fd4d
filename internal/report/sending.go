package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/curve"
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
	// ThrottledPrefixes are those with throttled requests, as far as that is known.
	ThrottledPrefixes []ThrottledPrefix `json:"throttledPrefixes,omitempty"`
	// UnwatchedSeconds is for how long nobody saw when something was sent: what was sent then is
	// spread evenly.
	UnwatchedSeconds int64 `json:"unwatchedSeconds,omitempty"`
}

// ThrottledPrefix counts the throttled requests of a prefix.
type ThrottledPrefix struct {
	Name      string `json:"name"`
	Throttled int64  `json:"throttled"`
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
	curve curve.Curve
	// counters are those of the last call.
	counters [2]int64
}

// NewRecorder returns one whose curve begins at a time.
func NewRecorder(now time.Time) *Recorder {
	return &Recorder{curve: curve.Curve{Begun: now, Last: now, Each: firstInterval, Most: maxPoints}}
}

// Count takes in the counters as they are at a time, which is not before that of the last call.
func (r *Recorder) Count(now time.Time, bytes, throttled int64) {
	r.curve.Add(now, bytes-r.counters[0], throttled-r.counters[1])
	r.counters = [2]int64{bytes, throttled}
}

// Sending is what was recorded, by a program.
func (r *Recorder) Sending(by string) *Sending {
	c := &r.curve
	return &Sending{
		By: by, Started: c.Begun.UTC(), Seconds: c.Last.Sub(c.Begun).Seconds(), Bytes: r.counters[0], Throttled: r.counters[1],
		Curve: Curve{SecondsEach: c.Each.Seconds(), Bytes: append([]int64{}, c.Bytes...), Throttled: append([]int64{}, c.Throttled...)},
	}
}

// ByWorkers is what the manager has recorded of the workers of a transfer; nil if it has not.
func ByWorkers(s *v1alpha1.SendingStatus) *Sending {
	if s == nil || s.StartTime == nil || len(s.Bytes) != len(s.Throttled) {
		return nil
	}
	last := ptr.Deref(s.LastTime, *s.StartTime)
	out := &Sending{
		By: "the workers", Started: s.StartTime.UTC(), Seconds: max(0, last.Sub(s.StartTime.Time).Seconds()),
		Requests: ptr.Deref(s.Requests, 0), Failed: ptr.Deref(s.Failed, 0), UnwatchedSeconds: ptr.Deref(s.UnwatchedSeconds, 0),
		Curve: Curve{
			SecondsEach: float64(max(1, s.SecondsEach)),
			Bytes:       append([]int64{}, s.Bytes...), Throttled: append([]int64{}, s.Throttled...),
		},
	}
	for i := range s.Bytes {
		out.Bytes, out.Throttled = curve.Plus(out.Bytes, s.Bytes[i]), curve.Plus(out.Throttled, s.Throttled[i])
	}
	for _, p := range s.ThrottledPrefixes {
		out.ThrottledPrefixes = append(out.ThrottledPrefixes, ThrottledPrefix{Name: p.Name, Throttled: ptr.Deref(p.Throttled, 0)})
	}
	return out
}

// maxNamed bounds the prefixes that a row names.
const maxNamed = 3

// throttledPrefixes names those that were throttled most; "" for none.
func (s *Sending) throttledPrefixes() string {
	most := slices.SortedStableFunc(slices.Values(s.ThrottledPrefixes), func(a, b ThrottledPrefix) int {
		return cmp.Compare(b.Throttled, a.Throttled)
	})
	var names []string
	for _, p := range most[:min(len(most), maxNamed)] {
		names = append(names, fmt.Sprintf("%s %d", plain(p.Name), p.Throttled))
	}
	if len(most) > maxNamed {
		names = append(names, fmt.Sprintf("and %d others", len(most)-maxNamed))
	}
	return strings.Join(names, ", ")
}

// rows are its figures.
func (s *Sending) rows() []row {
	all := []row{
		{"sent", fmt.Sprintf("%s in %s from %s on, by %s", convert.Bytes(s.Bytes),
			time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond), s.Started.Format(time.RFC3339), plain(s.By))},
		{"requests", fmt.Sprintf("%d, of which %d throttled and %d failed otherwise", s.Requests, s.Throttled, s.Failed)},
	}
	if names := s.throttledPrefixes(); names != "" {
		all = append(all, row{"throttled most", names})
	}
	if s.UnwatchedSeconds > 0 {
		all = append(all, row{"not watched", fmt.Sprintf("for %s, when no manager ran: the curve is flat there", time.Duration(s.UnwatchedSeconds)*time.Second)})
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
	for _, p := range s.ThrottledPrefixes {
		least = min(least, p.Throttled)
	}
	return min(least, s.UnwatchedSeconds) < 0 || s.Seconds < 0 || len(s.Curve.Bytes) > 0 && s.Curve.SecondsEach <= 0 || len(s.Curve.Bytes) != len(s.Curve.Throttled)
}
