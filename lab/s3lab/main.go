package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/lab"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are what the command line chooses.
type options struct {
	listen, stats, backend, conditions, hostSuffix string
	tls                                            bool
	certificate, keep                              string
	seed                                           uint64
	glacier                                        time.Duration
}

// start serves until ctx ends and returns the exit code.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("s3lab", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "address to serve on")
	flags.StringVar(&o.stats, "stats", "", "address to serve statistics on, or unix:PATH for a socket: GET /, POST /reset, POST /conditions")
	flags.StringVar(&o.backend, "backend", "", "URL of the S3 server, or discard to take everything and keep nothing")
	flags.StringVar(&o.keep, "keep", "", "pattern of the keys whose contents --backend discard keeps, such as data/.cargoship/")
	flags.DurationVar(&o.glacier, "glacier", 0, "have all objects outside .cargoship/ in the class GLACIER: RestoreObject takes this long")
	flags.StringVar(&o.conditions, "conditions", "", "YAML file with the conditions; without one everything passes")
	flags.StringVar(&o.hostSuffix, "host-suffix", "", "name below which host names begin with a bucket")
	flags.BoolVar(&o.tls, "tls", false, "serve over TLS with a certificate made for the occasion")
	flags.StringVar(&o.certificate, "certificate", "", "file to write that certificate to, for clients to trust")
	flags.Uint64Var(&o.seed, "seed", 0, "seed for the choice of requests that faults strike, in place of the file's")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 {
		_, _ = fmt.Fprintf(stderr, "s3lab: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	b, err := configure(o)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "s3lab:", err)
		return exitUsage
	}
	if err := serve(ctx, o, b, stdout, stderr); err != nil {
		_, _ = fmt.Fprintln(stderr, "s3lab:", err)
		return exitFailed
	}
	return 0
}

// configure makes a lab of the options, which it finds all faults in that need no network.
func configure(o options) (bench, error) {
	var plan lab.Plan
	if o.conditions != "" {
		text, err := os.ReadFile(o.conditions)
		if err != nil {
			return bench{}, fmt.Errorf("read the conditions: %w", err)
		}
		if plan, err = lab.Parse(o.conditions, text); err != nil {
			return bench{}, err
		}
	}
	if o.seed != 0 {
		plan.Seed = o.seed
	}
	if o.certificate != "" && !o.tls {
		return bench{}, errors.New("--certificate needs --tls")
	}
	backend, err := newBackend(o)
	if err != nil {
		return bench{}, err
	}
	discard, _ := backend.(*lab.Discard)
	if o.glacier > 0 {
		backend = &lab.Glacier{Backend: backend, Class: "GLACIER", Takes: o.glacier, Archived: func(_, key string) bool {
			return !strings.Contains("/"+key, "/.cargoship/")
		}}
	}
	return bench{lab.New(lab.Options{Backend: backend, Plan: plan, HostSuffix: o.hostSuffix}), discard}, nil
}

func newBackend(o options) (http.Handler, error) {
	const discard = "discard"
	if o.keep != "" && o.backend != discard {
		return nil, errors.New("--keep needs --backend discard: another server keeps everything")
	}
	switch {
	case o.backend == discard && o.keep != "":
		return lab.NewDiscard(o.keep), nil
	case o.backend == discard:
		return lab.NewDiscard(), nil
	}
	server, err := url.Parse(o.backend)
	if err != nil || server.Scheme != "http" && server.Scheme != "https" || server.Host == "" {
		return nil, fmt.Errorf("--backend %q is neither discard nor a URL such as http://127.0.0.1:7070", o.backend)
	}
	return lab.NewProxy(server, lab.NewTransport()), nil
}

// serve runs the lab and its statistics, and prints them at the end.
func serve(ctx context.Context, o options, b bench, stdout, stderr io.Writer) error {
	on, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	config, err := secure(o)
	if err != nil {
		return errors.Join(err, on.Close())
	}
	scheme := "http"
	if config != nil {
		scheme = "https"
	}
	group, running := errgroup.WithContext(ctx)
	if o.stats != "" {
		side, err := listenForStats(o.stats)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for statistics: %w", err), on.Close())
		}
		_, _ = fmt.Fprintf(stderr, "s3lab: statistics at %s\n", urlOf(side.Addr()))
		group.Go(func() error { return serveStats(running, side, b) })
	}
	_, _ = fmt.Fprintf(stderr, "s3lab: serving at %s://%s\n", scheme, on.Addr())
	group.Go(func() error { return b.Serve(running, on, config) })
	if err := group.Wait(); err != nil {
		return err
	}
	return write(stdout, b.told(b.Stats()))
}

// secure returns the TLS configuration, nil for none.
func secure(o options) (*tls.Config, error) {
	if !o.tls {
		return nil, nil
	}
	certificate, public, err := lab.NewCertificate()
	if err != nil {
		return nil, err
	}
	if o.certificate != "" {
		if err := os.WriteFile(o.certificate, public, 0o644); err != nil {
			return nil, fmt.Errorf("write the certificate: %w", err)
		}
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}
