package ui

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

//go:embed assets
var assets embed.FS

// headerTimeout is how long a client may take to say what it wants.
const headerTimeout = 5 * time.Second

// Options say what is served, and where.
type Options struct {
	// Port on loopback; 0 takes one that is free.
	Port int
	// Interval is the time between two looks at the cluster.
	Interval time.Duration
	// About is shown at the top of the page.
	About About
	// Past knows past runs; nil for nobody.
	Past Past
}

// About says what the page is about.
type About struct {
	// Cluster is the address of the API server, Namespace the one that is shown, empty for all.
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	// Interval is the time between two looks, in milliseconds.
	Interval int64 `json:"interval"`
	// Past says that past runs can be asked for.
	Past bool `json:"past"`
}

// Server is a page that is served.
type Server struct {
	// URL is the address of the page. Whoever knows it can read the page.
	URL string

	listeners []net.Listener
	http      *http.Server
	feed      *feed
}

// Listen takes a port. Nothing is served before Serve.
func Listen(source Source, o Options) (*Server, error) {
	listeners, err := listen(o.Port)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(listeners[0].Addr().String())
	if err != nil {
		return nil, err
	}
	o.About.Interval, o.About.Past = o.Interval.Milliseconds(), o.Past != nil
	token := rand.Text()
	s := &Server{URL: "http://127.0.0.1:" + port + "/" + token + "/", listeners: listeners, feed: newFeed(source, o.Interval)}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(files))
	mux.HandleFunc("/feed", s.feed.serve)
	mux.HandleFunc("/about", func(w http.ResponseWriter, _ *http.Request) { reply(w, o.About) })
	if o.Past != nil {
		mux.HandleFunc("/past", pastHandler(o.Past))
	}
	s.http = &http.Server{Handler: newGuard(token, port, mux), ReadHeaderTimeout: headerTimeout, ErrorLog: log.New(io.Discard, "", 0)}
	return s, nil
}

// listen listens on loopback, in both families where the machine has both.
func listen(port int) ([]net.Listener, error) {
	v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listening on port %d: it is taken: choose another with --port, or leave --port out", port)
	case err != nil:
		return nil, fmt.Errorf("listening on port %d of this machine: %w", port, err)
	}
	list := []net.Listener{v4}
	_, bound, _ := net.SplitHostPort(v4.Addr().String())
	if v6, err := net.Listen("tcp6", net.JoinHostPort("::1", bound)); err == nil {
		list = append(list, v6)
	}
	return list, nil
}

// Serve serves until the context ends. Pages that are open do not delay that.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	looking := make(chan struct{})
	go func() {
		defer close(looking)
		s.feed.run(ctx)
	}()
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { failed <- s.http.Serve(l) }()
	}
	var err error
	served := len(s.listeners)
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = ended(err)
		served--
	}
	cancel()
	closed := s.http.Close()
	for range served {
		err = errors.Join(err, ended(<-failed))
	}
	<-looking
	if err != nil {
		return fmt.Errorf("serving the page: %w", err)
	}
	return closed
}

// ended is the error of a server that has ended, nil if it was told to.
func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// reply answers with JSON.
func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	// An error is one of a page that is gone.
	_ = json.NewEncoder(w).Encode(value)
}
