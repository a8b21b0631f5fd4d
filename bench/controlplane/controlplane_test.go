package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/bench/figures"
)

// A puppet sends what window, rate and archives allow, ends archives in order, and sends no
// archive twice that is still granted.
func TestALaneSendsWhatIsGranted(t *testing.T) {
	p := newPath(1)
	l := &prefixWork{ended: map[int64]bool{}}
	assign := func(numbers ...int64) {
		var all []v1alpha1.ArchiveAssignment
		for _, n := range numbers {
			all = append(all, v1alpha1.ArchiveAssignment{Number: ptr.To(n), Attempt: 1})
		}
		l.assign(all)
	}
	assign(7, 8)
	l.set(p, 2)
	if got := l.advance(1, 100*time.Millisecond); len(got) > 0 || l.accepted != 20 {
		t.Errorf("in a second with a window of 2 at 100 ms %v ended and %v requests were accepted, want none and 20", got, l.accepted)
	}
	if got := l.advance(10, 100*time.Millisecond); !slices.Equal(got, []int64{7, 8}) || l.accepted != 2*archiveRequests {
		t.Errorf("after ten more %v ended and %v were accepted, want 7 and 8, and %d", got, l.accepted, 2*archiveRequests)
	}
	assign(8, 9)
	if got := l.advance(100, 100*time.Millisecond); !slices.Equal(got, []int64{9}) {
		t.Errorf("with 8 and 9 granted %v ended, want 9", got)
	}
	if l.rate = 5; l.allows(100*time.Millisecond) != 5 {
		t.Errorf("a rate of 5/s allows %v", l.allows(100*time.Millisecond))
	}
}

func TestThePathQueues(t *testing.T) {
	p := newPath(10) // 200 requests a second
	if p.inFlight.Store(20); p.latency() != baseLatency {
		t.Errorf("latency of %v with as much in flight as fits, want %v", p.latency(), baseLatency)
	}
	if p.inFlight.Store(100); p.latency() != 500*time.Millisecond {
		t.Errorf("latency of %v with 100 in flight, want 500 ms", p.latency())
	}
}

const exposition = `# TYPE t histogram
t_bucket{le="0.1"} 3
t_bucket{le="1"} 4
t_bucket{le="+Inf"} 4
t_sum 1
t_count 4
# TYPE apiserver_request_total counter
apiserver_request_total{verb="PATCH",resource="prefixleases",subresource="status",code="200"} 2
apiserver_request_total{verb="PATCH",resource="prefixleases",subresource="status",code="404"} 3
`

func TestReadingMetrics(t *testing.T) {
	f, err := parse(strings.NewReader(exposition))
	if err != nil {
		t.Fatal(err)
	}
	h := f.histogram("t")
	if h.mean() != 0.25 || h.most() != 1 {
		t.Errorf("mean %v, most %v, want 0.25 and 1", h.mean(), h.most())
	}
	before := histogram{Count: 1, Sum: 0.9, buckets: map[float64]float64{1: 1}}
	if d := h.since(before); d.Count != 3 || d.most() != 0.1 {
		t.Errorf("%v since then, most %v, want 3 and 0.1", d.Count, d.most())
	}
	if d := h.since(histogram{Count: 9}); d.Count != 4 {
		t.Errorf("%v in a process that began anew, want 4", d.Count)
	}
	if n := f.requests()["PATCH prefixleases/status"]; n != 5 {
		t.Errorf("%v patches of status, want 5", n)
	}
}

func TestAColumnHoldsTheNewestOfEachSize(t *testing.T) {
	var r report
	for _, m := range []measurement{{Workers: 100, Lost: 1}, {Workers: 10}, {Workers: 100, Lost: 2}} {
		r.put("now", figures.Head{}, m)
	}
	if runs := r.Columns[0].Runs; len(runs) != 2 || runs[0].Workers != 10 || runs[1].Lost != 2 {
		t.Errorf("the column holds %+v", runs)
	}
	var page strings.Builder
	if err := r.writePage(&page); err != nil || !strings.Contains(page.String(), "| 10, now | 100, now |") {
		t.Errorf("%v, page:\n%s", err, page.String())
	}
}
