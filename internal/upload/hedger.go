package upload

import (
	"math/bits"
	"sync"
	"time"
)

const (
	// hedgeShare of the requests with data may be sent a second time.
	hedgeShare = 0.01
	// mostHedges is how many of those are saved up.
	mostHedges = 10
	// hedgeSamples is how many requests of a kind must have ended before what is late is known.
	hedgeSamples = 100
	// recentSamples is how many requests of a kind are taken for the recent ones, and as many
	// before these.
	recentSamples = 1000
	// lateFactor times the 99th percentile is late. With that, what is slow in more than a
	// hundredth of all requests is not.
	lateFactor = 3
	// Nothing is late before leastLate: there would be little to win.
	leastLate = 250 * time.Millisecond
	// relearn is how many requests of a kind end before late is computed again.
	relearn = 50
)

// kind is what requests must have in common for their times to be compared.
type kind struct {
	part bool
	// size is the logarithm of the length, to the base of 4, from 64 KiB on.
	size int
}

func kindOf(r *request) kind {
	return kind{part: !r.part.whole, size: (bits.Len64(uint64(r.carries())>>16) + 1) / 2}
}

// hedger decides which requests are late, and how many may be sent a second time. It is safe for
// concurrent use.
type hedger struct {
	mu     sync.Mutex
	tokens float64
	recent map[kind]*recent
}

// begin counts a request, and tells after what time it is late, if that is known.
func (h *hedger) begin(k kind) (late time.Duration, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens = min(h.tokens+hedgeShare, mostHedges)
	r := h.recent[k]
	if r == nil {
		return 0, false
	}
	return r.late, r.late > 0
}

// take takes what a second attempt costs, if there is as much.
func (h *hedger) take() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tokens < 1 {
		return false
	}
	h.tokens--
	return true
}

// giveBack undoes take.
func (h *hedger) giveBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens++
}

// took records how long a request took.
func (h *hedger) took(k kind, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.recent[k]
	if r == nil {
		r = &recent{fresh: newHistogram(), former: newHistogram()}
		if h.recent == nil {
			h.recent = map[kind]*recent{}
		}
		h.recent[k] = r
	}
	r.add(d)
}

// recent are the times of the requests of one kind that ended last.
type recent struct {
	fresh, former histogram
	// late is what is known of them; 0 for nothing yet.
	late time.Duration
}

func (r *recent) add(d time.Duration) {
	r.fresh.add(d)
	n := r.fresh.count()
	if n >= hedgeSamples && n%relearn == 0 {
		// The larger of both: after a turn for the worse the fresh ones tell, and after one for
		// the better they are too few for a while.
		p99 := max(r.fresh.quantile(0.99), r.former.quantile(0.99))
		r.late = max(leastLate, lateFactor*p99)
	}
	if n >= recentSamples {
		r.fresh, r.former = r.former, r.fresh
		r.fresh.microseconds.Reset()
	}
}
