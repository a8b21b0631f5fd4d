package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/product"
)

// Names of what the demo makes.
const (
	namespace = "cargoship-demo"
	bucket    = "archive"
	// generatedData is the directory under that of the run where data is made.
	generatedData = "data"
	// restoredData is the one that it is restored to.
	restoredData = "restored"
)

// stage is everything that runs in the demo.
type stage struct {
	dir  string // logs and files of this run
	data string // the directory to archive
	root string // the repository
	// packing is objects or tar.
	packing string

	*product.Product
	// kind and key are those of the transfer, and then of the restore.
	kind string
	key  client.ObjectKey
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "demo: "+format+"\n", args...) }

// start sets the stage: data, processes, and the objects a transfer needs.
func (s *stage) start(ctx context.Context) error {
	var err error
	if s.root, err = assets.RepositoryRoot(); err != nil {
		return err
	}
	// Where the programs have to be built, that takes minutes, and the data is made meanwhile.
	preparing, both := errgroup.WithContext(ctx)
	preparing.Go(func() error { return s.prepareData(both) })
	preparing.Go(func() error {
		_, err := assets.Ensure(both, assets.Options{Root: s.root, Log: os.Stderr, WithoutKubectl: true})
		return err
	})
	if err := preparing.Wait(); err != nil {
		return err
	}
	if s.Product, err = product.Start(ctx, product.Options{Root: s.root, Dir: s.dir, Log: os.Stderr}); err != nil {
		return err
	}
	say("S3 server at %s", s.S3.Endpoint)
	if err := s.Furnish(ctx, namespace, s.data, bucket); err != nil {
		return err
	}
	if err := os.Mkdir(s.restored(), 0o755); err != nil {
		return fmt.Errorf("make a directory to restore into: %w", err)
	}
	return s.FurnishTarget(ctx, namespace, s.restored())
}

// restored is the directory to restore into.
func (s *stage) restored() string {
	return filepath.Join(s.dir, restoredData)
}

// prepareData takes the directory given, or makes one.
func (s *stage) prepareData(ctx context.Context) error {
	if s.data != "" {
		path, err := filepath.Abs(s.data)
		if err != nil {
			return fmt.Errorf("find %s: %w", s.data, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("read the data set: %w", err)
		}
		if !info.IsDir() {
			return fmt.Errorf("read the data set: %s is not a directory", path)
		}
		s.data = path
		return nil
	}
	s.data = filepath.Join(s.dir, generatedData)
	begin := time.Now()
	if err := generate(ctx, s.data); err != nil {
		return fmt.Errorf("make a data set: %w", err)
	}
	say("made a data set in %.1f s", time.Since(begin).Seconds())
	return nil
}

// stop ends every process. It may be called again.
func (s *stage) stop() error {
	if s.Product == nil {
		return nil
	}
	return s.Stop()
}
