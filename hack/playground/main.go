// Command playground is CargoShip on this machine, for docs/tutorial.md: a control plane, an S3 server,
// the operator and a node, two claims and a bucket. It writes what a shell needs to use them into
// bin/playground/env and stops everything when it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"

	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/product"
)

const (
	namespace = "tutorial"
	bucket    = "archive"
)

func main() {
	ctrl.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // A second signal ends it without ceremony.
	err := run(ctx)
	interrupted := ctx.Err() != nil
	stop()
	if err != nil && !interrupted {
		fmt.Fprintf(os.Stderr, "playground: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("playground: everything is stopped")
}

// run is the playground from the first process to the last.
func run(ctx context.Context) (err error) {
	root, err := assets.RepositoryRoot()
	if err != nil {
		return err
	}
	// kubectl, too, which the product itself has no use for.
	if _, err := assets.Ensure(ctx, assets.Options{Root: root, Log: os.Stderr}); err != nil {
		return err
	}
	dir := filepath.Join(root, "bin", "playground")
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%s exists: another playground runs, or did not end well; then remove it", dir)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("create a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	data, target := filepath.Join(dir, "data"), filepath.Join(dir, "restored")
	if err := errors.Join(fill(data), os.Mkdir(target, 0o755)); err != nil { //nolint:gosec // As a volume is.
		return err
	}
	p, err := product.Start(ctx, product.Options{Root: root, Dir: dir, Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if err := errors.Join(p.Furnish(ctx, namespace, data, bucket), p.FurnishTarget(ctx, namespace, target)); err != nil {
		return err
	}
	if err := writeEnvironment(p, root, dir); err != nil {
		return err
	}
	fmt.Println("playground: ready; Ctrl-C stops everything")
	<-ctx.Done()
	return nil
}

// fill writes some photos and notes, the same bytes each time.
func fill(dir string) error {
	for _, year := range []string{"2024", "2025", "2026"} {
		if err := os.MkdirAll(filepath.Join(dir, year), 0o755); err != nil { //nolint:gosec // As a volume is.
			return fmt.Errorf("make the data: %w", err)
		}
		for n := range 100 {
			text := strings.Repeat(fmt.Sprintf("photo %d of %s\n", n, year), 2000+10*n)
			if err := os.WriteFile(filepath.Join(dir, year, fmt.Sprintf("photo-%03d.raw", n)), []byte(text), 0o644); err != nil { //nolint:gosec // As a volume is.
				return fmt.Errorf("make the data: %w", err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("Sort the photos of 2025.\n"), 0o644); err != nil { //nolint:gosec // As a volume is.
		return fmt.Errorf("make the data: %w", err)
	}
	return nil
}

// writeEnvironment writes a kubeconfig whose namespace is that of the tutorial, and what a shell is
// to source: our programs and kubectl first in the path, and the S3 server as AWS tools know it.
func writeEnvironment(p *product.Product, root, dir string) error {
	config, err := clientcmd.LoadFromFile(p.Cluster.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	for _, c := range config.Contexts {
		c.Namespace = namespace
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		return fmt.Errorf("write a kubeconfig: %w", err)
	}
	programs := filepath.Join(dir, "programs")
	if err := errors.Join(os.Mkdir(programs, 0o700), os.Symlink(filepath.Join(p.Assets, assets.Kubectl), filepath.Join(programs, "kubectl"))); err != nil {
		return fmt.Errorf("make kubectl available: %w", err)
	}
	// The server has no names for its buckets.
	if err := os.WriteFile(filepath.Join(dir, "aws"), []byte("[default]\ns3 =\n  addressing_style = path\n"), 0o600); err != nil {
		return fmt.Errorf("write the configuration of AWS tools: %w", err)
	}
	var text strings.Builder
	for _, v := range [][2]string{
		{"KUBECONFIG", kubeconfig}, {"AWS_CONFIG_FILE", filepath.Join(dir, "aws")}, {"AWS_ENDPOINT_URL", p.Store.Endpoint},
		{"AWS_REGION", p.Store.Region}, {"AWS_ACCESS_KEY_ID", p.Store.AccessKey}, {"AWS_SECRET_ACCESS_KEY", p.Store.SecretKey},
	} {
		fmt.Fprintf(&text, "export %s='%s'\n", v[0], strings.ReplaceAll(v[1], "'", `'\''`))
	}
	fmt.Fprintf(&text, "export PATH='%s:%s':\"$PATH\"\n", programs, filepath.Join(root, "bin"))
	if err := os.WriteFile(filepath.Join(dir, "env"), []byte(text.String()), 0o600); err != nil {
		return fmt.Errorf("write the environment: %w", err)
	}
	return nil
}
