package sim

import (
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// What controllers/coordinator does; the names are the same there.
const (
	writesAtOnce   = 64
	firstRewrite   = 250 * time.Millisecond
	longestRewrite = 10 * time.Second
	// writeTimeout is when the API server gives a request up.
	writeTimeout = 60 * time.Second
)

// writer writes grants beside the ticks of a manager: of each worker only the newest, one at a time, and again
// where that failed.
type writer struct {
	fleet  *fleet
	newest map[protocol.WorkerID]protocol.Grant
	turn   []protocol.WorkerID // whose grants are to be written
	queued map[protocol.WorkerID]bool
	busy   map[protocol.WorkerID]bool
	failed map[protocol.WorkerID]int
	ended  bool
}

func newWriter(f *fleet) *writer {
	return &writer{
		fleet: f, newest: map[protocol.WorkerID]protocol.Grant{}, queued: map[protocol.WorkerID]bool{},
		busy: map[protocol.WorkerID]bool{}, failed: map[protocol.WorkerID]int{},
	}
}

// end gives up what has not begun to be written.
func (w *writer) end() {
	if w != nil {
		w.ended = true
	}
}

// put hands over a grant, which takes the place of an earlier one.
func (w *writer) put(g protocol.Grant) {
	w.newest[g.Worker] = g
	w.enqueue(g.Worker)
	w.next()
}

func (w *writer) enqueue(id protocol.WorkerID) {
	if !w.queued[id] && !w.busy[id] {
		w.queued[id] = true
		w.turn = append(w.turn, id)
	}
}

// next begins as many writes as may be made at once.
func (w *writer) next() {
	for !w.ended && len(w.busy) < writesAtOnce && len(w.turn) > 0 {
		id := w.turn[0]
		w.turn = w.turn[1:]
		g := w.newest[id]
		delete(w.queued, id)
		delete(w.newest, id)
		if stands, known := w.fleet.api.grants[id]; known && stands.ID() == g.ID() {
			continue
		}
		w.busy[id] = true
		w.write(g)
	}
}

// write makes one write. The API server refuses it where a later grant stands.
func (w *writer) write(g protocol.Grant) {
	f := w.fleet
	f.api.server.call(writeTimeout, func() bool { return f.api.outages == 0 }, func() {
		stands, known := f.api.grants[g.Worker]
		if !f.manager.removed[g.Worker] && (!known || stands.ID().Before(g.ID())) {
			f.api.grants[g.Worker] = g
		}
	}, func(ok bool) {
		delete(w.busy, g.Worker)
		if _, newer := w.newest[g.Worker]; newer || ok {
			delete(w.failed, g.Worker)
			if newer {
				w.enqueue(g.Worker)
			}
		} else {
			w.again(g)
		}
		w.next()
	})
}

// again tries a write again that failed, after a pause, unless a newer one takes its place.
func (w *writer) again(g protocol.Grant) {
	pause := min(firstRewrite<<min(w.failed[g.Worker], 10), longestRewrite)
	w.failed[g.Worker]++
	w.fleet.after(pause, func() {
		if _, newer := w.newest[g.Worker]; !newer && !w.busy[g.Worker] && !w.ended {
			w.put(g)
		}
	})
}
