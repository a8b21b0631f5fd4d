package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

const (
	registryPort = "5000"
	// registriesName is the directory, below that of a node, in which containerd looks for
	// the hosts of registries.
	registriesName = "registries"
	// headerTimeout bounds the wait for a request that was begun.
	headerTimeout = 30 * time.Second
)

// serveRegistry serves an image registry to this machine, at a listener of its own network,
// and to the nodes, until ctx ends. Manifests are kept in memory, blobs in the run directory.
func (s *server) serveRegistry(ctx context.Context, outside net.Listener) error {
	blobs := filepath.Join(inside, "registry")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		return fmt.Errorf("create the registry's directory: %w", err)
	}
	within, err := net.Listen("tcp", net.JoinHostPort(hubAddress, registryPort))
	if err != nil {
		return fmt.Errorf("listen for the nodes' pulls: %w", err)
	}
	handler := registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)), registry.WithReferrersSupport(true),
		registry.Logger(log.New(io.Discard, "", 0)))
	for _, listener := range []net.Listener{outside, within} {
		serving := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
		stop := context.AfterFunc(ctx, func() { _ = serving.Close() })
		s.daemons.Go(func() {
			defer stop()
			if err := serving.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				_, _ = fmt.Fprintf(os.Stderr, "registry: %v\n", err)
			}
		})
	}
	return nil
}

// knowRegistry tells a node's containerd where the registry is that this machine knows by a
// loopback address.
func knowRegistry(n node) error {
	dir := filepath.Join(inside, n.Name, registriesName, n.Registry)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create the directory of a registry: %w", err)
	}
	return render("hosts.toml", filepath.Join(dir, "hosts.toml"), n)
}
