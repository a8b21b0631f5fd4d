package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"cargoship.dev/operator/test/kit/product"
)

// options are what the command line chooses.
type options struct {
	data string // directory to archive; empty means one made for the occasion
	keep bool   // leave everything up until interrupted
	// packing is objects or tar, and chooses the sample.
	packing string
}

const (
	packingObjects = "objects"
	packingTar     = "tar"
)

func main() {
	var opts options
	flag.StringVar(&opts.data, "data", "", "archive this directory in place of a generated data set")
	flag.BoolVar(&opts.keep, "keep", false, "leave everything running until interrupted")
	flag.StringVar(&opts.packing, "packing", packingObjects, "objects or tar")
	flag.Parse()
	if opts.packing != packingObjects && opts.packing != packingTar {
		fmt.Fprintf(os.Stderr, "demo: packing %q: must be %s or %s\n", opts.packing, packingObjects, packingTar)
		os.Exit(2)
	}
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "demo: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	ctrl.SetLogger(logr.Discard()) // The demo says itself what happens.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal a second one ends the demo without ceremony.
	context.AfterFunc(ctx, stop)
	err := run(ctx, opts)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil:
	case interrupted:
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything is stopped")
		os.Exit(130)
	default:
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// run is the demo from the first process to the last. Nothing it started is left
// when it returns.
func run(ctx context.Context, opts options) (err error) {
	begin := time.Now()
	dir, err := os.MkdirTemp("", "cargoship-demo-")
	if err != nil {
		return fmt.Errorf("create a run directory: %w", err)
	}
	s := &stage{dir: dir, data: opts.data, packing: opts.packing}
	defer func() {
		if err != nil && ctx.Err() == nil {
			s.explain(os.Stderr)
			// The generated data can be made again; logs and objects stay.
			err = errors.Join(err, s.stop(), os.RemoveAll(filepath.Join(dir, generatedData)), os.RemoveAll(filepath.Join(dir, restoredData)))
			return
		}
		err = errors.Join(err, s.stop(), os.RemoveAll(dir))
	}()
	if err := s.start(ctx); err != nil {
		return err
	}
	if err := s.transfer(ctx, os.Stdout); err != nil {
		return err
	}
	if _, err := s.verify(ctx); err != nil {
		return err
	}
	if err := s.restore(ctx, os.Stdout); err != nil {
		return err
	}
	result, err := s.verifyRestored()
	if err != nil {
		return err
	}
	if opts.keep {
		return s.keepUp(ctx, result, begin)
	}
	if err := s.stop(); err != nil {
		return err
	}
	fmt.Println(lastLine(result, time.Since(begin)))
	return nil
}

// keepUp tells how to look around and waits for the interrupt, which ends the demo
// as it should end.
func (s *stage) keepUp(ctx context.Context, result product.Tally, begin time.Time) error {
	fmt.Printf("export KUBECONFIG=%s\n", s.Cluster.Kubeconfig)
	fmt.Printf("# S3: %s, bucket %s, access key %s, secret key %s\n", s.S3.Endpoint, bucket, s.S3.AccessKey, s.S3.SecretKey)
	fmt.Println("# kubectl -n " + namespace + " get archivetransfers,archiverestores; Ctrl-C stops everything")
	fmt.Println(lastLine(result, time.Since(begin)))
	<-ctx.Done()
	return nil
}
