package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"cargoship.dev/operator/lab"
)

// maxConditions bounds what is read of new conditions, in bytes.
const maxConditions = 1 << 20

// bench is a lab and, if it is the server as well, that.
type bench struct {
	*lab.Lab
	discard *lab.Discard
}

// told adds to the statistics of the lab what stands at the server, if it is ours.
func (b bench) told(s lab.Stats) any {
	if b.discard == nil {
		return s
	}
	objects, bytes := b.discard.Objects()
	return struct {
		lab.Stats
		Objects     int   `json:"objects"`
		ObjectBytes int64 `json:"objectBytes"`
	}{s, objects, bytes}
}

// listenForStats listens at a TCP address, or on a socket at unix:PATH, which is reached from other
// network namespaces, too.
func listenForStats(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return net.Listen("unix", path)
	}
	return net.Listen("tcp", address)
}

func urlOf(a net.Addr) string {
	if a.Network() == "unix" {
		return "unix:" + a.String()
	}
	return "http://" + a.String() + "/"
}

// serveStats serves statistics until ctx ends.
func serveStats(ctx context.Context, on net.Listener, b bench) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { answer(w, b.told(b.Stats())) })
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) { answer(w, b.told(b.Reset())) })
	mux.HandleFunc("POST /conditions", func(w http.ResponseWriter, r *http.Request) {
		if err := change(b.Lab, http.MaxBytesReader(w, r.Body, maxConditions)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // Serve returns whatever Close says.
	defer stop()
	if err := server.Serve(on); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve statistics: %w", err)
	}
	return nil
}

// change replaces the conditions that a text names.
func change(l *lab.Lab, from io.Reader) error {
	text, err := io.ReadAll(from)
	if err != nil {
		return fmt.Errorf("read the conditions: %w", err)
	}
	plan, err := lab.Parse("conditions", text)
	if err != nil {
		return err
	}
	if plan.Seed != 0 || plan.Schedule != nil {
		return errors.New("conditions: a change has no seed and no schedule")
	}
	l.Change(plan.Conditions)
	return nil
}

func answer(w http.ResponseWriter, stats any) {
	w.Header().Set("Content-Type", "application/json")
	_ = write(w, stats) // A client that has gone away needs no answer.
}

func write(w io.Writer, stats any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(stats); err != nil {
		return fmt.Errorf("print the statistics: %w", err)
	}
	return nil
}
