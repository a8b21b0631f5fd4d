package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/loopback"
	"cargoship.dev/operator/test/kit/process"
	"cargoship.dev/operator/test/kit/product"
)

const (
	systemNamespace = "cargoship-system"
	managerAccount  = "cargoship-controller-manager"
	namespace       = "bench"
	nodeName        = "node"

	// stopTime is how long the manager may take to end.
	stopTime = 10 * time.Second
	// restartPause is the kubelet's before it starts a container again for the first time.
	restartPause = 10 * time.Second
)

// rig is a control plane with CargoShip installed, and the manager as a process of its own.
type rig struct {
	cluster *kit.Cluster
	admin   client.Client
	raw     kubernetes.Interface
	metrics string // address of the manager's, reserved until release
	release func()
	keeper  *process.Keeper
	dir     string
	assets  string
	budget  int // of the manager, 0 for its default
}

func startRig(ctx context.Context, root string, budget int) (*rig, error) {
	dir, err := os.MkdirTemp("", "bench-controlplane-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	r := &rig{dir: dir, budget: budget}
	if err := r.start(ctx, root); err != nil {
		return nil, errors.Join(err, r.stop())
	}
	return r, nil
}

func (r *rig) start(ctx context.Context, root string) error {
	var err error
	if r.assets, err = assets.Ensure(ctx, assets.Options{Root: root, Log: os.Stderr}); err != nil {
		return err
	}
	if r.cluster, err = kit.Start(ctx, kit.Options{Assets: r.assets, Dir: r.dir}); err != nil {
		return err
	}
	r.cluster.Config.QPS = -1 // setting up is not what is measured
	if r.admin, err = product.NewClient(r.cluster.Config); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if r.raw, err = kubernetes.NewForConfig(r.cluster.Config); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if err := r.install(ctx, root); err != nil {
		return err
	}
	return r.startManager(ctx, root)
}

// install installs config/default. There is no node that would run its Deployment.
func (r *rig) install(ctx context.Context, root string) error {
	for _, args := range [][]string{
		{"apply", "--server-side", "-k", filepath.Join(root, "config", "default")},
		{"wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"},
	} {
		args = append([]string{"--kubeconfig=" + r.cluster.Kubeconfig}, args...)
		if out, err := exec.CommandContext(ctx, filepath.Join(r.assets, assets.Kubectl), args...).CombinedOutput(); err != nil {
			return fmt.Errorf("install config/default: %w: %s", err, out)
		}
	}
	for _, o := range []client.Object{
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s3"},
			StringData: map[string]string{"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}},
		&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "data"}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		}},
	} {
		if err := r.admin.Create(ctx, o); err != nil {
			return fmt.Errorf("set up the namespace: %w", err)
		}
	}
	return nil
}

func (r *rig) startManager(ctx context.Context, root string) error {
	kubeconfig, err := r.cluster.ServiceAccountKubeconfig(ctx, systemNamespace, managerAccount)
	if err != nil {
		return err
	}
	if r.metrics, r.release, err = loopback.Reserve(); err != nil {
		return err
	}
	command := func() *exec.Cmd { return r.command(filepath.Join(root, "bin", "manager"), kubeconfig) }
	r.keeper, err = process.Keep(filepath.Join(r.dir, "manager.log"), command, restartPause)
	return err
}

// command runs the manager as the chart does, but for its memory limit and what that tells the
// garbage collector.
func (r *rig) command(program, kubeconfig string) *exec.Cmd {
	cmd := exec.Command(program,
		"--leader-elect", "--leader-election-namespace="+systemNamespace,
		"--metrics-secure=false", "--metrics-bind-address="+r.metrics, "--health-probe-bind-address=0",
		"--worker-image=worker:bench", "--log-format=text")
	if r.budget > 0 {
		cmd.Args = append(cmd.Args, "--api-budget="+strconv.Itoa(r.budget))
	}
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + r.dir, "PATH=" + os.Getenv("PATH")}
	return cmd
}

func (r *rig) stop() error {
	var errs []error
	if r.keeper != nil {
		errs = append(errs, r.keeper.Stop(stopTime))
		r.release()
	}
	if r.cluster != nil {
		errs = append(errs, r.cluster.Stop())
	}
	if errors.Join(errs...) == nil {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

// createTransfer creates the transfer whose workers the puppets are.
func (r *rig) createTransfer(ctx context.Context, workers int) (*v1alpha1.ArchiveTransfer, error) {
	at := &v1alpha1.ArchiveTransfer{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "fleet"},
		Spec: v1alpha1.ArchiveTransferSpec{
			Source: v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "data"}},
			Destination: v1alpha1.Destination{Location: v1alpha1.Location{
				Bucket: "bench", Endpoint: "http://127.0.0.1:9", AddressingStyle: v1alpha1.AddressingPath,
				Credentials: v1alpha1.Credentials{SecretName: "s3"},
			}},
			Fleet: v1alpha1.Fleet{Workers: v1alpha1.Workers{Count: int32(workers)}},
		},
	}
	if err := r.admin.Create(ctx, at); err != nil {
		return nil, fmt.Errorf("create the transfer: %w", err)
	}
	return at, nil
}

const (
	planPrefixes = 16
	planArchives = 1_000_000 // of each prefix
	archiveFiles = archiveRequests
	archiveBytes = archiveFiles << 20
)

// plan is that of the transfer: more than any run sends.
func plan() *v1alpha1.PlanReport {
	p := &v1alpha1.PlanReport{State: "Complete"}
	for i := range planPrefixes {
		p.Prefixes = append(p.Prefixes, v1alpha1.PlannedPrefix{
			Name: fmt.Sprintf("%02x", i), Archives: ptr.To(int64(planArchives)),
			Files: ptr.To(int64(planArchives * archiveFiles)), Bytes: ptr.To(int64(planArchives * archiveBytes)),
		})
	}
	return p
}

// actAs is a pod's own access, over a connection of its own.
func actAs(server *rest.Config, token string) *rest.Config {
	config := rest.AnonymousClientConfig(server)
	config.BearerToken = token
	config.Dial = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
	return config
}
