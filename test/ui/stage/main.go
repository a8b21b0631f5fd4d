// Command stage is what the page is tested against: a control plane, the manager, a node and
// an S3 server on this machine, as in the demo, behind a path that throttles like a real
// bucket, and data to archive. It says where all of it is in a line of JSON, and stops it
// once its standard input ends.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"cargoship.dev/operator/lab"
	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/loopback"
	"cargoship.dev/operator/test/kit/product"
)

// What a transfer finds: directories of files, and a bucket that throttles each directory by
// itself, as S3 does with the prefixes of a busy bucket. The transfer takes about a minute
// and a half, so that its curves have a shape.
const (
	namespace         = "research"
	bucket            = "archive"
	filesEach         = 1400
	fileSize          = 96 << 10 // bytes
	requestsPerSecond = 25       // for each directory
	burst             = 5
	medianService     = 40 * time.Millisecond
	p99Service        = 160 * time.Millisecond
)

// place is what the tests are told.
type place struct {
	Kubeconfig string `json:"kubeconfig"`
	Kubectl    string `json:"kubectl"`
	Namespace  string `json:"namespace"`
	Bucket     string `json:"bucket"`
	Endpoint   string `json:"endpoint"`
	Region     string `json:"region"`
	Secret     string `json:"secret"`
	Claim      string `json:"claim"`
	Target     string `json:"target"`
	// Metrics is the address of the manager's metrics.
	Metrics string `json:"metrics"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "stage: %v\n", err)
		os.Exit(1)
	}
}

// run is the stage from the first process to the last. Nothing of it is left when it returns.
func run(ctx context.Context, until io.Reader, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "cargoship-ui-")
	if err != nil {
		return fmt.Errorf("create a run directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, until) // Its end is the news.
	}()
	root, err := assets.RepositoryRoot()
	if err != nil {
		return err
	}
	data, target := filepath.Join(dir, "data"), filepath.Join(dir, "restored")
	if err := errors.Join(fill(data), os.Mkdir(target, 0o755)); err != nil {
		return err
	}
	metrics, release, err := loopback.Reserve()
	if err != nil {
		return err
	}
	defer release()
	p, err := product.Start(ctx, product.Options{Root: root, Dir: dir, Log: os.Stderr,
		ManagerArgs: []string{"--metrics-bind-address=" + metrics, "--metrics-secure=false"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Stop()) }()
	if err := errors.Join(p.Furnish(ctx, namespace, data, bucket), p.FurnishTarget(ctx, namespace, target)); err != nil {
		return err
	}
	endpoint, path, err := throttled(ctx, p.Store.Endpoint)
	if err != nil {
		return err
	}
	defer func() { cancel(); err = errors.Join(err, <-path) }()
	err = json.NewEncoder(out).Encode(place{Kubeconfig: p.Cluster.Kubeconfig, Kubectl: filepath.Join(p.Assets, assets.Kubectl), Namespace: namespace,
		Bucket: bucket, Endpoint: endpoint, Region: p.Store.Region, Secret: product.SecretName, Claim: product.ClaimName, Target: product.TargetName, Metrics: metrics})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// throttled serves an S3 server behind a slow path with partitions, until the context ends.
func throttled(ctx context.Context, server string) (endpoint string, done <-chan error, err error) {
	to, err := url.Parse(server)
	if err != nil {
		return "", nil, err
	}
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("serve the path to S3: %w", err)
	}
	path := lab.New(lab.Options{Backend: lab.NewProxy(to, lab.NewTransport()), Plan: lab.Plan{Conditions: lab.Conditions{
		Partitions:  []lab.Partition{{Keys: "photos/?", RequestsPerSecond: requestsPerSecond, Burst: burst}},
		ServiceTime: &lab.ServiceTime{Median: medianService, P99: p99Service},
	}}})
	served := make(chan error, 1)
	go func() { served <- path.Serve(ctx, on, nil) }()
	return "http://" + on.Addr().String(), served, nil
}

// fill writes the data set, the same bytes each time.
func fill(dir string) error {
	for i, directory := range []string{"alps", "coast", "forest", "harbor"} {
		random := rand.NewChaCha8([32]byte{byte(i)})
		if err := os.MkdirAll(filepath.Join(dir, directory), 0o755); err != nil {
			return fmt.Errorf("make the data set: %w", err)
		}
		for n := range filesEach {
			text := make([]byte, fileSize)
			_, _ = random.Read(text) // It never fails.
			binary.BigEndian.PutUint32(text, uint32(n))
			if err := os.WriteFile(filepath.Join(dir, directory, fmt.Sprintf("image-%04d.raw", n)), text, 0o644); err != nil {
				return fmt.Errorf("make the data set: %w", err)
			}
		}
	}
	return nil
}
