// Package release gives tests CargoShip, installed by its chart, on the cluster that
// make cluster-up starts.
package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/test/cluster/sandbox"
	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/product"
)

const (
	// Release and System are the chart's release, and the namespace it is in.
	Release, System = "cargoship", "cargoship-system"
	// leaderLease is what the managers' election is held by.
	leaderLease = "cargoship-manager"
	// EnvCluster names another run directory than that of make cluster-up.
	EnvCluster = "CARGOSHIP_CLUSTER"
)

// Deployment is a cluster, its S3 server, and the programs to use them with.
type Deployment struct {
	product.Site
	Cluster *sandbox.State
	// Root is the repository.
	Root string
	// Kubectl and Helm are programs, CLI is ours.
	Kubectl, Helm, CLI string
}

// Open finds the running cluster. log is told of programs that have to be built.
func Open(ctx context.Context, log io.Writer) (*Deployment, error) {
	root, err := assets.RepositoryRoot()
	if err != nil {
		return nil, err
	}
	dir := os.Getenv(EnvCluster)
	if dir == "" {
		dir = filepath.Join(root, "bin", "cluster.run")
	}
	l := &Deployment{Root: root, Helm: filepath.Join(root, "bin", "tools", "helm"), CLI: filepath.Join(root, "bin", "cargoship")}
	if l.Cluster, err = sandbox.Open(dir); err != nil {
		return nil, fmt.Errorf("find the cluster of %s: %w", dir, err)
	}
	programs, err := assets.Ensure(ctx, assets.Options{Root: root, Log: log})
	if err != nil {
		return nil, err
	}
	l.Kubectl = filepath.Join(programs, assets.Kubectl)
	config, err := clientcmd.BuildConfigFromFlags("", l.Cluster.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	l.Store = l.Cluster.S3
	l.Client, err = product.NewClient(config)
	return l, err
}

// Install installs or upgrades the chart with the images of a tag, and waits until it
// is ready. Managers start anew when their program has changed, also under the same
// tag. More are further arguments of helm.
func (l *Deployment) Install(ctx context.Context, tag string, more ...string) error {
	program, err := os.ReadFile(filepath.Join(l.Root, "bin", "manager"))
	if err != nil {
		return fmt.Errorf("read the manager's program (make build makes it): %w", err)
	}
	args := []string{l.Helm, "upgrade", "--install", Release, filepath.Join(l.Root, "charts", "cargoship"),
		"--namespace", System, "--create-namespace", "--wait", "--timeout", "3m",
		"--set", "image.tag=" + tag, "--set", "workerImage.tag=" + tag,
		"--set-string", fmt.Sprintf("podAnnotations.program=%x", sha256.Sum256(program))}
	_, err = l.Run(ctx, append(args, more...)...)
	return err
}

// Leader is the pod of the manager that leads, or led last.
func (l *Deployment) Leader(ctx context.Context) (*corev1.Pod, error) {
	var lease coordinationv1.Lease
	if err := l.Client.Get(ctx, client.ObjectKey{Namespace: System, Name: leaderLease}, &lease); err != nil {
		return nil, fmt.Errorf("find the leader: %w", err)
	}
	name, _, _ := strings.Cut(ptr.Deref(lease.Spec.HolderIdentity, ""), "_")
	if name == "" {
		return nil, errors.New("find the leader: nobody leads")
	}
	pod := &corev1.Pod{}
	if err := l.Client.Get(ctx, client.ObjectKey{Namespace: System, Name: name}, pod); err != nil {
		return nil, fmt.Errorf("find the leader: %w", err)
	}
	return pod, nil
}

// Run runs a command as the administrator of cluster and S3 server, and returns its
// output.
func (l *Deployment) Run(ctx context.Context, argv ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+l.Cluster.Kubeconfig,
		"AWS_ACCESS_KEY_ID="+l.Store.AccessKey, "AWS_SECRET_ACCESS_KEY="+l.Store.SecretKey)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(argv[0]), strings.Join(argv[1:], " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// Read runs one of the commands of cargoship that read what a transfer has archived.
func (l *Deployment) Read(ctx context.Context, verb string, from product.Location, args ...string) (string, error) {
	argv := append([]string{l.CLI, verb, "s3://" + from.Bucket + "/" + from.Prefix}, args...)
	return l.Run(ctx, append(argv, "--endpoint-url", "http://"+l.Store.Address, "--path-style", "--region", l.Store.Region)...)
}
