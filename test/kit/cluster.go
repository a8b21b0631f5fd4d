package kit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/process"
)

const (
	// readyTimeout bounds the wait for the controllers' first sign of life.
	readyTimeout = 3 * time.Minute
	// stopGrace is how long a process may take to end by itself.
	stopGrace = 5 * time.Second
	// pollInterval is the time between two looks at something awaited.
	pollInterval = 100 * time.Millisecond
)

// Options say where a cluster finds its programs and keeps its files.
type Options struct {
	// Assets is the directory of programs, as assets.Ensure returns it.
	Assets string
	// NodeAssets is the directory that assets.EnsureNode returns; it is needed with Address.
	NodeAssets string
	// Dir receives logs, kubeconfigs and data. It must exist; it is not removed.
	Dir string
	// Address is the IP address that nodes and pods reach this machine at: there the
	// API server listens on port 6443 and the S3 server on 7070. Empty means that all
	// clients are programs of this machine: loopback, any free port, and no more
	// controllers than a transfer needs.
	Address string
	// Keeper is a command that runs a program and starts it again whenever it ends. A
	// name, the program and its arguments are appended. Empty means that programs
	// run once.
	Keeper []string
}

// command is a program to start, by the keeper if there is one.
func (o Options) command(program string, args ...string) *exec.Cmd {
	dir := o.Assets
	if program == assets.ControllerManager {
		dir = o.NodeAssets
	}
	argv := append([]string{filepath.Join(dir, program)}, args...)
	if len(o.Keeper) > 0 {
		argv = slices.Concat(o.Keeper, []string{program}, argv)
	}
	return exec.Command(argv[0], argv[1:]...)
}

// Cluster is a running control plane: etcd, kube-apiserver and controllers.
type Cluster struct {
	// Config is the administrator's access.
	Config *rest.Config
	// Kubeconfig is the path of a kubeconfig file with the same access.
	Kubeconfig string

	opts        Options
	environment *envtest.Environment
	controllers *process.Process
	logs        []*os.File
}

// Start starts a control plane and waits until it serves and its controllers work.
// When it fails, nothing is left running.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	c := &Cluster{opts: opts, Kubeconfig: filepath.Join(opts.Dir, "admin.kubeconfig")}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.startAPIServer(); err != nil {
		return fmt.Errorf("start the API server (logs in %s): %w", c.opts.Dir, err)
	}
	if err := os.WriteFile(c.Kubeconfig, c.environment.KubeConfig, 0o600); err != nil {
		return fmt.Errorf("write the administrator's kubeconfig: %w", err)
	}
	if err := os.WriteFile(c.rootCAFile(), c.Config.CAData, 0o600); err != nil {
		return fmt.Errorf("write the API server's CA: %w", err)
	}
	if err := c.startControllers(); err != nil {
		return fmt.Errorf("start the controllers: %w", err)
	}
	return c.awaitControllers(ctx)
}

// startAPIServer starts etcd and kube-apiserver through envtest.
func (c *Cluster) startAPIServer() error {
	environment := &envtest.Environment{
		ControlPlaneStartTimeout: readyTimeout,
		ControlPlaneStopTimeout:  stopGrace,
	}
	etcd := &envtest.Etcd{}
	environment.ControlPlane.Etcd = etcd
	server := environment.ControlPlane.GetAPIServer()
	var err error
	if etcd.Path, err = c.leash(assets.Etcd); err != nil {
		return err
	}
	if server.Path, err = c.leash(assets.APIServer); err != nil {
		return err
	}
	environment.ControlPlane.KubectlPath = c.program(assets.Kubectl)
	etcdLog, err := c.log("etcd")
	if err != nil {
		return err
	}
	serverLog, err := c.log("kube-apiserver")
	if err != nil {
		return err
	}
	etcd.Out, etcd.Err, server.Out, server.Err = etcdLog, etcdLog, serverLog, serverLog
	// envtest switches ServiceAccount admission off, but pods must get their
	// tokens as they do elsewhere.
	server.Configure().Disable("disable-admission-plugins")
	if c.opts.Address != "" {
		if err := c.exposeToNodes(server); err != nil {
			return err
		}
	}
	c.environment = environment
	c.Config, err = environment.Start()
	return err
}

// startControllers starts the controllers: the whole controller manager, or where there
// are no nodes only those that transfers and their pods need.
func (c *Cluster) startControllers() error {
	args := []string{"--kubeconfig=" + c.Kubeconfig, "--root-ca-file=" + c.rootCAFile()}
	program := assets.Controllers
	if c.opts.Address != "" {
		program = assets.ControllerManager
		args = append(args, "--leader-elect=false", "--secure-port=0", "--kube-api-qps=200", "--kube-api-burst=400", "--controllers=*")
	}
	log, err := c.log(program)
	if err != nil {
		return err
	}
	cmd := c.opts.command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	c.controllers, err = process.Start(cmd)
	return err
}

// rootCAFile is where the serving CA is written for the root CA publisher.
func (c *Cluster) rootCAFile() string { return filepath.Join(c.opts.Dir, "ca.crt") }

// awaitControllers waits for the first thing the controllers make, the default
// service account of the default namespace.
func (c *Cluster) awaitControllers(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		_, err := client.CoreV1().ServiceAccounts(corev1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the controllers to make a service account: %w", errors.Join(ctx.Err(), err))
		case <-c.controllers.Done():
			return fmt.Errorf("the controllers ended (log in %s): %w", c.opts.Dir, c.controllers.Err())
		case <-time.After(pollInterval):
		}
	}
}

// Stop ends every process of the cluster. Clients with open watches should be
// stopped first, or the API server waits for them.
func (c *Cluster) Stop() error {
	var errs []error
	if c.controllers != nil {
		errs = append(errs, c.controllers.Stop(stopGrace))
	}
	if c.environment != nil {
		errs = append(errs, c.environment.Stop())
	}
	for _, log := range c.logs {
		errs = append(errs, log.Close())
	}
	c.controllers, c.environment, c.logs = nil, nil, nil
	return errors.Join(errs...)
}

// program is the path of one of the assets.
func (c *Cluster) program(name string) string { return filepath.Join(c.opts.Assets, name) }

// leash returns a program to start in place of an asset. envtest does not tie its
// children to this process, nor does it start them again; where there is a keeper, or
// else setpriv, a script does so, and a killed test leaves nothing running.
func (c *Cluster) leash(name string) (string, error) {
	argv := c.opts.command(name).Args
	if len(c.opts.Keeper) == 0 {
		setpriv, err := exec.LookPath("setpriv")
		if err != nil {
			return c.program(name), nil
		}
		argv = append([]string{setpriv, "--pdeathsig", "KILL", "--"}, argv...)
	}
	// envtest asks a program for its flags, for which it must run once.
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != --help ] || exec '%s' \"$@\"\nexec '%s' \"$@\"\n",
		c.program(name), strings.Join(argv, "' '"))
	path := filepath.Join(c.opts.Dir, name)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", fmt.Errorf("write a start script for %s: %w", name, err)
	}
	return path, nil
}

// log opens the log file of one process.
func (c *Cluster) log(name string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(c.opts.Dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	c.logs = append(c.logs, file)
	return file, nil
}
