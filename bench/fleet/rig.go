package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/bench/figures"
	"cargoship.dev/operator/test/cluster/sandbox"
	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/product"
)

const (
	namespace = "bench-fleet"
	system    = "cargoship-system"
	// Ports in the network of the cluster.
	labPort, statsPort, prometheusPort = "9100", "9101", "9190"
	// patience bounds every wait for the cluster.
	patience = 2 * time.Minute
	poll     = 200 * time.Millisecond
)

// rig is the cluster with the chart installed, a source, and what is measured with.
type rig struct {
	product.Site
	options
	state  *sandbox.State
	config *rest.Config
	// hub is the address at which pods reach what this process starts.
	hub     string
	scratch string
	source  source
	watcher *prometheus
	runs    int
	spans   map[string]span
}

// span is when a run was.
type span struct{ from, to time.Time }

// newRig makes the rig; what fails leaves only what a later one clears.
func newRig(ctx context.Context, o options, state *sandbox.State) (*rig, error) {
	r := &rig{options: o, state: state, spans: map[string]span{}}
	if err := r.connect(); err != nil {
		return nil, err
	}
	var err error
	if r.scratch, err = os.MkdirTemp("", "benchfleet-"); err != nil {
		return nil, fmt.Errorf("make a scratch directory: %w", err)
	}
	if err := r.furnish(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	if r.watcher, err = r.watch(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// connect finds the API server as it is seen from within the cluster's network.
func (r *rig) connect() error {
	var err error
	kubeconfig := filepath.Join(r.dir, "control-plane", "admin.kubeconfig")
	if r.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	server, err := url.Parse(r.config.Host)
	if err != nil {
		return fmt.Errorf("read the address of the API server: %w", err)
	}
	r.hub = server.Hostname()
	r.Store = kit.S3Access{
		Endpoint: "http://" + r.at(labPort), Address: r.at(labPort), Region: "us-east-1",
		AccessKey: "benchfleet", SecretKey: "benchfleetbenchfleet",
	}
	r.Client, err = product.NewClient(r.config)
	return err
}

// at is an address of the hub.
func (r *rig) at(port string) string { return net.JoinHostPort(r.hub, port) }

// furnish installs the chart with the programs as they are now, and makes the source.
func (r *rig) furnish(ctx context.Context) error {
	if err := r.state.Load(ctx, r.root, "local"); err != nil {
		return err
	}
	helm := exec.CommandContext(ctx, filepath.Join(r.root, "bin", "tools", "helm"), "upgrade", "--install", "cargoship",
		filepath.Join(r.root, "charts", "cargoship"), "--namespace", system, "--create-namespace", "--wait", "--timeout", "3m",
		"--kubeconfig", filepath.Join(r.dir, "control-plane", "admin.kubeconfig"),
		"--set", "image.tag=local", "--set", "workerImage.tag=local",
		// Other managers than those of before, whose image may have had the same name.
		"--set-string", "podAnnotations.loaded="+time.Now().UTC().Format(time.RFC3339))
	if out, err := helm.CombinedOutput(); err != nil {
		return fmt.Errorf("install the chart: %w: %s", err, out)
	}
	if err := r.clear(ctx); err != nil {
		return err
	}
	var err error
	if r.source, err = makeSource(filepath.Join(r.state.Volumes, namespace)); err != nil {
		return err
	}
	return r.FurnishNamespace(ctx, namespace, r.source.dir)
}

// clear removes what this or an earlier benchmark has made in the cluster.
func (r *rig) clear(ctx context.Context) error {
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + product.ClaimName}},
		reader(),
	} {
		if err := r.Client.Delete(ctx, object); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete the %T %s: %w", object, object.GetName(), err)
		}
		if err := r.gone(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// gone waits until an object is.
func (r *rig) gone(ctx context.Context, object client.Object) error {
	return r.await(ctx, fmt.Sprintf("the end of the %T %s", object, object.GetName()), func() (bool, error) {
		err := r.Client.Get(ctx, client.ObjectKeyFromObject(object), object)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

// await waits until something is.
func (r *rig) await(ctx context.Context, what string, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		done, err := is()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, errors.Join(ctx.Err(), err))
		case <-time.After(poll):
		}
	}
}

// close removes what the rig has made.
func (r *rig) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	errs := []error{r.clear(ctx), os.RemoveAll(r.scratch)}
	if r.watcher != nil {
		errs = append(errs, r.watcher.stop())
	}
	if r.source.dir != "" {
		errs = append(errs, os.RemoveAll(r.source.dir))
	}
	return errors.Join(errs...)
}

// startLab starts the path to the server for one run.
func (r *rig) startLab(c condition) (*figures.Lab, error) {
	file := filepath.Join(r.scratch, "conditions.yaml")
	if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
		return nil, fmt.Errorf("write conditions: %w", err)
	}
	return figures.StartLab(filepath.Join(r.root, "bin", "s3lab"), "--backend", "discard", "--keep", base+"/.cargoship/",
		"--conditions", file, "--listen", r.at(labPort), "--stats", r.at(statsPort))
}
