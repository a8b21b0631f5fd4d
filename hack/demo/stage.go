package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/hack/localcluster"
	"cargoship.dev/operator/hack/localcluster/assets"
	"cargoship.dev/operator/hack/localcluster/nodeagent"
	"cargoship.dev/operator/hack/localcluster/process"
)

// Names of what the demo makes.
const (
	namespace       = "cargoship-demo"
	systemNamespace = "cargoship-system"
	managerAccount  = "cargoship-controller-manager"
	workerImage     = "cargoship/worker:demo"
	bucket          = "archive"
	claimName       = "data"
	secretName      = "archive-credentials"
	generatedData   = "data" // under the run directory
)

// managerGrace is how long the manager may take to give its leadership back.
const managerGrace = 10 * time.Second

// stage is everything that runs in the demo.
type stage struct {
	dir  string // logs and files of this run
	data string // the directory to archive
	root string // the repository

	assets  string
	cluster *localcluster.Cluster
	s3      *localcluster.S3
	agent   *nodeagent.Agent
	manager *process.Process
	client  client.Client
	key     client.ObjectKey // of the transfer
	log     *os.File
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "demo: "+format+"\n", args...) }

// start sets the stage: data, processes, and the objects a transfer needs.
func (s *stage) start(ctx context.Context) error {
	var err error
	if s.root, err = assets.RepositoryRoot(); err != nil {
		return err
	}
	if s.assets, err = assets.Ensure(ctx, assets.Options{Root: s.root, Log: os.Stderr}); err != nil {
		return err
	}
	if err := s.prepareData(ctx); err != nil {
		return err
	}
	say("starting etcd, kube-apiserver and kube-controller-manager")
	options := localcluster.Options{Assets: s.assets, Dir: s.dir}
	if s.cluster, err = localcluster.Start(ctx, options); err != nil {
		return err
	}
	if s.s3, err = localcluster.StartS3(ctx, options); err != nil {
		return err
	}
	say("S3 server at %s", s.s3.Endpoint)
	if err := s.install(ctx); err != nil {
		return fmt.Errorf("install config/default: %w", err)
	}
	if err := s.startNode(ctx); err != nil {
		return err
	}
	if err := s.startManager(ctx); err != nil {
		return err
	}
	return s.furnish(ctx)
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

// install applies config/default except what runs the manager as a pod: here it is
// a process, with the rights of the same ServiceAccount.
func (s *stage) install(ctx context.Context) error {
	manifests, err := s.kubectl(ctx, nil, "kustomize", filepath.Join(s.root, "config", "default"))
	if err != nil {
		return err
	}
	kept, err := withoutKinds(manifests, "Deployment", "Service")
	if err != nil {
		return err
	}
	if _, err := s.kubectl(ctx, kept, "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	_, err = s.kubectl(ctx, nil, "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	s.client, err = client.New(s.cluster.Config, client.Options{Scheme: scheme})
	return err
}

// kubectl runs kubectl as the administrator and returns its standard output.
func (s *stage) kubectl(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(filepath.Join(s.assets, assets.Kubectl), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.cluster.Kubeconfig)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	child, err := process.Start(cmd)
	if err != nil {
		return nil, err
	}
	select {
	case <-child.Done():
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), child.Stop(0))
	}
	if err := child.Err(); err != nil {
		return nil, fmt.Errorf("kubectl %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

func (s *stage) startNode(ctx context.Context) error {
	pods := filepath.Join(s.dir, "pods")
	if err := os.Mkdir(pods, 0o700); err != nil {
		return fmt.Errorf("create the node's directory: %w", err)
	}
	worker, err := s.binary("worker")
	if err != nil {
		return err
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "node.log")); err != nil {
		return fmt.Errorf("create the node's log: %w", err)
	}
	s.agent, err = nodeagent.Start(ctx, nodeagent.Options{
		Config: s.cluster.Config,
		Dir:    pods,
		Images: map[string]string{workerImage: worker},
		Log:    slog.New(slog.NewTextHandler(s.log, nil)),
	})
	return err
}

// binary is the path of one of our own programs.
func (s *stage) binary(name string) (string, error) {
	path := filepath.Join(s.root, "bin", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find bin/%s (make build makes it): %w", name, err)
	}
	return path, nil
}

// startManager runs the manager with the rights of its ServiceAccount and no other.
func (s *stage) startManager(ctx context.Context) error {
	program, err := s.binary("manager")
	if err != nil {
		return err
	}
	kubeconfig, err := s.cluster.ServiceAccountKubeconfig(ctx, systemNamespace, managerAccount)
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(s.dir, "manager.log"))
	if err != nil {
		return fmt.Errorf("create the manager's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	cmd := exec.Command(program,
		"--leader-elect", "--leader-election-namespace="+systemNamespace,
		"--metrics-bind-address=0", "--health-probe-bind-address=0",
		"--worker-image="+workerImage, "--log-format=text",
	)
	cmd.Env = []string{"KUBECONFIG=" + kubeconfig, "HOME=" + s.dir, "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = log, log
	s.manager, err = process.Start(cmd)
	return err
}

// furnish makes what the sample transfer refers to: bucket, namespace, volume,
// claim and Secret.
func (s *stage) furnish(ctx context.Context) error {
	store, err := s.s3.Client()
	if err != nil {
		return err
	}
	if err := store.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: s.s3.Region}); err != nil {
		return fmt.Errorf("make the bucket %s: %w", bucket, err)
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Ti")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	noClass := ""
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + claimName},
			Spec: corev1.PersistentVolumeSpec{
				Capacity: size, AccessModes: modes,
				ClaimRef:               &corev1.ObjectReference{Namespace: namespace, Name: claimName},
				PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: s.data}},
			},
		},
		&corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: claimName},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: &noClass, VolumeName: namespace + "-" + claimName, AccessModes: modes,
				Resources: corev1.VolumeResourceRequirements{Requests: size},
			},
		},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secretName},
			StringData: map[string]string{
				v1alpha1.SecretKeyAccessKeyID:     s.s3.AccessKey,
				v1alpha1.SecretKeySecretAccessKey: s.s3.SecretKey,
			},
		},
	}
	for _, object := range objects {
		if err := s.client.Create(ctx, object); err != nil {
			return fmt.Errorf("create the %T %s: %w", object, object.GetName(), err)
		}
	}
	return nil
}

// stop ends every process, those that talk to the API server before it. It may be
// called again.
func (s *stage) stop() error {
	var errs []error
	if s.manager != nil {
		errs = append(errs, s.manager.Stop(managerGrace))
	}
	if s.agent != nil {
		s.agent.Stop()
		errs = append(errs, s.log.Close())
	}
	if s.s3 != nil {
		errs = append(errs, s.s3.Stop())
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop())
	}
	s.manager, s.agent, s.s3, s.cluster = nil, nil, nil, nil
	return errors.Join(errs...)
}
