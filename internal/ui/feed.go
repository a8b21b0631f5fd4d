package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// writeTimeout is how long a page may take to read a message before it is dropped; it asks
// again, then.
const writeTimeout = 10 * time.Second

// feed keeps a Memory up to date and tells pages what is new in it.
type feed struct {
	source   Source
	interval time.Duration

	mu      sync.Mutex
	memory  Memory
	changed chan struct{} // closed once memory is newer
}

func newFeed(source Source, interval time.Duration) *feed {
	return &feed{source: source, interval: interval, changed: make(chan struct{})}
}

// run looks at the cluster until the context ends.
func (f *feed) run(ctx context.Context) {
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	for {
		look := f.source.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		f.take(look)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (f *feed) take(l Look) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.memory.Take(l)
	close(f.changed)
	f.changed = make(chan struct{})
}

// picture returns what a page shows, and what is closed once there is something newer.
func (f *feed) picture(uid string, mark Mark) (Picture, Mark, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, mark := f.memory.Picture(uid, mark)
	return p, mark, f.changed
}

// serve sends a picture after each look, as server-sent events.
func (f *feed) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	uid := r.URL.Query().Get("run")
	var mark Mark
	for {
		var p Picture
		var newer <-chan struct{}
		p, mark, newer = f.picture(uid, mark)
		if !p.At.IsZero() {
			if err := send(w, out, p); err != nil {
				return // The page is gone.
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-newer:
		}
	}
}

// send writes one event.
func send(w http.ResponseWriter, out *http.ResponseController, p Picture) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var event bytes.Buffer
	fmt.Fprintf(&event, "data: %s\n\n", text)
	if err := out.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := w.Write(event.Bytes()); err != nil {
		return err
	}
	return out.Flush()
}
