package product

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/nodeagent"
	"cargoship.dev/operator/test/kit/process"
)

const (
	systemNamespace = "cargoship-system"
	managerAccount  = "cargoship-controller-manager"
	workerImage     = "cargoship/worker:local"
	// managerGrace is how long the manager may take to give its leadership back.
	managerGrace = 10 * time.Second
	// managerPause is after what time a manager that ended by itself is started again.
	managerPause = time.Second
)

// Options say where a Product finds its programs and keeps its files.
type Options struct {
	// Root is the repository, with config/ and the programs in bin/.
	Root string
	// Dir receives logs, objects and pods. It must exist; it is not removed.
	Dir string
	// Log is told what is going on.
	Log io.Writer
	// ManagerArgs are further flags of the manager.
	ManagerArgs []string
}

// Product is CargoShip on this machine: a control plane, a node, an S3 server, and
// a manager that has the rights of its ServiceAccount and no other.
type Product struct {
	Site
	Cluster *kit.Cluster
	S3      *kit.S3
	Agent   *nodeagent.Agent
	// Manager keeps the manager's process, nil while none runs: one that gets no processor for long
	// enough loses its leadership, and ends.
	Manager *process.Keeper
	// Assets is the directory of the control plane's programs.
	Assets string

	opts Options
	log  *os.File
}

// Start starts everything. When it fails, nothing is left running.
func Start(ctx context.Context, opts Options) (*Product, error) {
	p := &Product{opts: opts}
	if err := p.start(ctx); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Product) start(ctx context.Context) error {
	var err error
	if p.Assets, err = assets.Ensure(ctx, assets.Options{Root: p.opts.Root, Log: p.opts.Log, WithoutKubectl: true}); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(p.opts.Log, "starting etcd, kube-apiserver, controllers and an S3 server")
	options := kit.Options{Assets: p.Assets, Dir: p.opts.Dir}
	if p.Cluster, err = kit.Start(ctx, options); err != nil {
		return err
	}
	if p.S3, err = kit.StartS3(ctx, options); err != nil {
		return err
	}
	p.Store = p.S3.S3Access
	if err := p.install(ctx); err != nil {
		return fmt.Errorf("install config/default: %w", err)
	}
	if err := p.startNode(ctx); err != nil {
		return err
	}
	return p.StartManager(ctx)
}

// NewClient returns a client that knows Kubernetes' types and ours.
func NewClient(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme})
}

func (p *Product) startNode(ctx context.Context) error {
	pods := filepath.Join(p.opts.Dir, "pods")
	if err := os.Mkdir(pods, 0o700); err != nil {
		return fmt.Errorf("create the node's directory: %w", err)
	}
	worker, err := p.binary("worker")
	if err != nil {
		return err
	}
	if p.log, err = os.Create(filepath.Join(p.opts.Dir, "node.log")); err != nil {
		return fmt.Errorf("create the node's log: %w", err)
	}
	p.Agent, err = nodeagent.Start(ctx, nodeagent.Options{
		Config: p.Cluster.Config,
		Dir:    pods,
		Images: map[string]string{workerImage: worker},
		Log:    slog.New(slog.NewTextHandler(p.log, nil)),
	})
	return err
}

// binary is the path of one of our own programs.
func (p *Product) binary(name string) (string, error) {
	path := filepath.Join(p.opts.Root, "bin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find bin/%s (make build makes it): %w", name, err)
	}
	return path, nil
}

// StartManager runs the manager, again whenever it ends, with the rights of its ServiceAccount and no other.
func (p *Product) StartManager(ctx context.Context) error {
	program, err := p.binary("manager")
	if err != nil {
		return err
	}
	kubeconfig, err := p.Cluster.ServiceAccountKubeconfig(ctx, systemNamespace, managerAccount)
	if err != nil {
		return err
	}
	p.Manager, err = process.Keep(filepath.Join(p.opts.Dir, "manager.log"), func() *exec.Cmd {
		cmd := exec.Command(program, append([]string{
			"--leader-elect", "--leader-election-namespace=" + systemNamespace,
			"--metrics-bind-address=0", "--health-probe-bind-address=0",
			"--worker-image=" + workerImage, "--log-format=text", "--allow-volume-populator",
		}, p.opts.ManagerArgs...)...)
		cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + p.opts.Dir, "PATH=" + os.Getenv("PATH")}
		return cmd
	}, managerPause)
	return err
}

// KillManager kills the manager as a crash would.
func (p *Product) KillManager() error {
	err := p.Manager.Stop(0)
	p.Manager = nil
	return err
}

// Stop ends every process, those that talk to the API server before it. It may be
// called again.
func (p *Product) Stop() error {
	var errs []error
	if p.Manager != nil {
		errs = append(errs, p.Manager.Stop(managerGrace))
	}
	if p.Agent != nil {
		p.Agent.Stop()
		errs = append(errs, p.log.Close())
	}
	if p.S3 != nil {
		errs = append(errs, p.S3.Stop())
	}
	if p.Cluster != nil {
		errs = append(errs, p.Cluster.Stop())
	}
	p.Manager, p.Agent, p.S3, p.Cluster = nil, nil, nil, nil
	return errors.Join(errs...)
}
