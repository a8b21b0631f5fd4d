package schedule

import (
	"math"
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

const (
	// moveIntervals is how many report intervals pass between the recall of an
	// archive and its first byte from another worker: the grant is written, the
	// report acknowledges it, the next grant assigns it.
	moveIntervals = 3
	// headGain is how many times sooner another worker must be done with an archive
	// that is being sent for it to be taken away: what was sent of it is lost.
	headGain = 2
	// headProgress is the most of an archive that counts as sent before it ended.
	headProgress = 0.9
	// speedMemory is the time constant of the mean speed, in report intervals.
	speedMemory = 3
)

// forecast is what a transfer's scheduler expects of the rest of the transfer, in
// one tick.
type forecast struct {
	known   bool
	horizon time.Duration // until all is sent if every free worker is busy to the end
	fastest float64       // bytes per second of the fastest free worker
	mean    float64       // of the free workers whose speed is known
}

// look sums what remains over the speeds of the workers that can be given work.
// A worker of unknown speed counts as the mean.
func (t *TransferScheduler) look() forecast {
	var o forecast
	var sum float64
	measured := 0
	for _, w := range t.free {
		if w.speed > 0 {
			sum += w.speed
			o.fastest = max(o.fastest, w.speed)
			measured++
		}
	}
	if measured == 0 {
		return o
	}
	o.mean = sum / float64(measured)
	sum += o.mean * float64(len(t.free)-measured)
	remaining := 0.0
	for _, l := range t.prefixes {
		remaining += float64(l.Remaining()) * l.meanSize()
	}
	o.known = true
	o.horizon = duration(remaining / sum)
	return o
}

// duration converts seconds, of which there may be more than a Duration holds.
func duration(seconds float64) time.Duration {
	return time.Duration(min(seconds*float64(time.Second), math.MaxInt64/2))
}

// takes is how long the worker needs for so many bytes.
func (o forecast) takes(w *Worker, bytes float64) time.Duration {
	speed := w.speed
	if speed <= 0 && !w.tried {
		speed = o.mean
	}
	return duration(bytes / max(speed, 1))
}

// Accepts tells that the worker would be done with one more archive by the time
// that the rest of the transfer is: a slow worker is left without the last
// archives, which others finish sooner. An archive that nobody took for a while
// goes to whoever asks.
func (w *Worker) Accepts(now time.Time, l *Prefix) bool {
	o := &w.transfer.forecast
	if !o.known || w.speed >= o.fastest {
		return true
	}
	next, ok := l.next()
	if !ok {
		return true
	}
	moving := moveIntervals * w.transfer.BaseInterval
	if now.Sub(l.served) > 2*moving {
		return true
	}
	size := float64(next.size)
	latest := max(o.horizon, duration(size/o.fastest)) + moving
	return o.takes(w, w.load+size) <= latest
}

// measureLoad sums how many bytes the worker has yet to send of what it holds.
func (w *Worker) measureLoad() {
	w.load = 0
	for _, c := range w.holdings {
		w.load += c.backlog()
	}
}

func (c *Holdings) backlog() float64 {
	var sum float64
	for i, h := range c.held {
		sum += c.unsent(i, h.size)
	}
	return sum
}

// unsent estimates how many bytes are left of the i-th archive that the worker holds
// here, by its size. Of the one that it sends first, the bytes since the outcome before are
// taken for its own.
func (c *Holdings) unsent(i int, bytes int64) float64 {
	size := float64(bytes)
	if i > 0 {
		return size
	}
	sent := float64(max(0, c.Sent-c.settled)) // a new process counts from zero
	return max(size-sent, (1-headProgress)*size)
}

// Steal takes archives from the workers that would be done with them last, for
// workers that have none and for which nothing is queued. Work that its worker
// can be asked for is recalled: once the worker has acknowledged a grant without
// it, it has let go of it, and the archive is queued again. What a missed worker
// holds is queued at once, while that worker may still be at it: both would put
// the same objects, and the first outcome counts. It gives the number of archives.
func (t *TransferScheduler) Steal() (moved int64) {
	room := t.hunger()
	for _, w := range t.workers {
		if room > 0 && w.Missed {
			n := w.hedge()
			room -= n
			moved += int64(n)
		}
	}
	for _, w := range t.ready {
		for _, c := range w.holdings {
			room -= len(c.recalled)
		}
	}
	for ; room > 0 && t.forecast.known; room-- {
		c := t.last()
		if c == nil {
			return moved
		}
		c.recall()
		moved++
	}
	return moved
}

// hunger counts the archives that workers without any could take over; 0 while
// something is queued for them.
func (t *TransferScheduler) hunger() int {
	count, bytes := int64(0), int64(0)
	for _, l := range t.prefixes {
		if l.active && l.available() {
			return 0
		}
		count = protocol.SaturatingAdd(count, l.backlog.planned.Archives)
		bytes = protocol.SaturatingAdd(bytes, l.backlog.planned.Bytes)
	}
	size, room := max(1, float64(bytes)/max(1, float64(count))), 0.0
	for _, w := range t.free {
		if w.held > 0 || w.Capacity == 0 {
			continue
		}
		share := t.forecast.horizon.Seconds() * max(w.speed, t.forecast.mean) / size
		room += min(max(1, math.Floor(share)), float64(t.Config.PipelineDepth))
	}
	return int(room)
}

// last finds where the archive is held that would be sent last, if another
// worker would be done with it sooner; nil for nowhere.
func (t *TransferScheduler) last() *Holdings {
	var worst *Holdings
	var latest time.Duration
	for _, w := range t.ready {
		if w.held == 0 {
			continue
		}
		if ends := t.forecast.ends(w); ends > latest && t.movable(w, ends) {
			worst, latest = w.longest(), ends
		}
	}
	return worst
}

// ends is when the worker will have sent all that it holds.
func (o forecast) ends(w *Worker) time.Duration {
	if w.Blocked {
		return duration(math.Inf(1))
	}
	return o.takes(w, w.load)
}

// movable tells that the last archive of a worker that ends then would be sent
// sooner elsewhere. One that is being sent already must gain more, and has to
// have an attempt left.
func (t *TransferScheduler) movable(w *Worker, ends time.Duration) bool {
	c := w.longest()
	h := c.held[len(c.held)-1]
	moving := moveIntervals * t.BaseInterval
	elsewhere := moving + duration(float64(h.size)/t.forecast.fastest)
	if len(c.held) == 1 {
		if !t.attemptable(h.archive) {
			return false
		}
		elsewhere *= headGain
	}
	return ends > max(elsewhere, t.forecast.horizon+moving)
}

// attemptable tells that an archive may fail once more and still be tried again.
func (t *TransferScheduler) attemptable(a archive) bool {
	return a.attempts-a.moves < t.Config.MaxAttempts
}

// longest is the prefix on which the worker has most to send.
func (w *Worker) longest() *Holdings {
	var most *Holdings
	var bytes float64
	for _, c := range w.holdings {
		if len(c.held) == 0 {
			continue
		}
		if backlog := c.backlog(); most == nil || backlog > bytes {
			most, bytes = c, backlog
		}
	}
	return most
}

// recall leaves the last archive of the holdings out of the grants from now on.
func (c *Holdings) recall() {
	last := len(c.held) - 1
	h := c.held[last]
	c.worker.load -= c.unsent(last, h.size)
	c.held = c.held[:last]
	c.worker.held--
	if !h.granted { // no grant has named it
		delete(c.prefix.held, h.number)
		h.attempts--
		c.prefix.putBack(h.archive)
		return
	}
	if last > 0 {
		h.moves++ // it waits behind others, so most likely it was not begun
	}
	c.recalled = append(c.recalled, h)
}

// hedge queues what a missed worker holds, remembers that it may finish it, and
// gives the number of archives.
func (w *Worker) hedge() int {
	queued := 0
	for _, c := range w.holdings {
		before := len(c.held)
		lose := func(h *holding) bool {
			if !w.transfer.attemptable(h.archive) {
				return false
			}
			delete(c.prefix.held, h.number)
			w.lose(c.prefix, h)
			c.prefix.putBack(h.archive)
			queued++
			return true
		}
		c.held = slices.DeleteFunc(c.held, lose)
		c.recalled = slices.DeleteFunc(c.recalled, lose)
		w.held -= before - len(c.held)
		if reserved := c.reserve.Count(); reserved > 0 {
			w.loseReserve(c)
			c.releaseReserve()
			queued += int(reserved)
		}
	}
	return queued
}

// Yield queues the recalled archives that the worker has let go of: it acts on a
// grant that does not name them, and has told of what it ended before.
func (w *Worker) Yield(r protocol.Report) {
	for _, c := range w.holdings {
		kept := c.recalled[:0]
		for _, h := range c.recalled {
			if h.recall == (protocol.GrantID{}) || r.ActsOn().Before(h.recall) {
				kept = append(kept, h)
				continue
			}
			delete(c.prefix.held, h.number)
			c.prefix.putBack(h.archive)
		}
		c.recalled = kept
		c.yieldReserve(r.ActsOn())
		c.lost = slices.DeleteFunc(c.lost, func(x lostRun) bool { return x.named.Before(r.ActsOn()) })
	}
	for lost, named := range w.lost {
		if named.Before(r.ActsOn()) {
			delete(w.lost, lost)
		}
	}
}

// Sent tells of bytes that the worker has sent, by the report that is taken in.
func (w *Worker) Sent(bytes int64) { w.sent += bytes }

// MeasureSpeed learns how fast the worker sends. What it sends when it lacks
// slots or archives tells only that it is no slower.
func (w *Worker) MeasureSpeed(elapsed time.Duration, window int, first, limited bool) {
	bytes := w.sent
	w.sent = 0
	if first || elapsed <= 0 || window == 0 {
		return
	}
	speed := float64(bytes) / elapsed.Seconds()
	loaded := w.held > 0 && !limited
	w.tried = w.tried || loaded
	if speed > w.speed || loaded {
		weight := 1 - math.Exp(-elapsed.Seconds()/(speedMemory*w.transfer.BaseInterval.Seconds()))
		w.speed += weight * (speed - w.speed)
	}
}
