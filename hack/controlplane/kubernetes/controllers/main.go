// Command controllers runs those controllers of Kubernetes that transfers and their pods
// need where there are no nodes. The whole controller manager takes many times as long to
// build, for the scheduler and the volume plugins that its other controllers need.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/job"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/controller/ttlafterfinished"
	"k8s.io/kubernetes/pkg/controller/volume/persistentvolume"
	"k8s.io/kubernetes/pkg/controller/volume/pvcprotection"
	"k8s.io/kubernetes/pkg/controller/volume/pvprotection"
)

const (
	// workers is how many objects each controller works on at once, as in the whole
	// controller manager for most of them.
	workers = 5
	// Requests per second, and at once: this API server has no other clients to speak of.
	apiQPS, apiBurst = 200, 400
	// Periods of the whole controller manager: of new types for the garbage collector, of
	// claims, and of namespaces.
	collectorSync, claimSync, namespaceSync = 30 * time.Second, 15 * time.Second, 5 * time.Minute
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "access to the API server (required)")
	rootCA := flag.String("root-ca-file", "", "certificate that pods know the API server by (required)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *kubeconfig, *rootCA)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "controllers: %v\n", err)
		os.Exit(1)
	}
}

// run runs all controllers until ctx ends.
func run(ctx context.Context, kubeconfig, rootCA string) error {
	if kubeconfig == "" || rootCA == "" {
		return errors.New("--kubeconfig and --root-ca-file are required")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = apiQPS, apiBurst
	ca, err := os.ReadFile(rootCA)
	if err != nil {
		return fmt.Errorf("read the API server's certificate: %w", err)
	}
	s, err := newSet(config)
	if err != nil {
		return err
	}
	for _, add := range []func(context.Context) error{s.jobs, s.garbage, s.namespaces, s.volumes} {
		if err := add(ctx); err != nil {
			return err
		}
	}
	if err := s.accounts(ctx, ca); err != nil {
		return err
	}
	s.run(ctx)
	return nil
}

// set is the controllers and what they share.
type set struct {
	client    kubernetes.Interface
	discovery discovery.CachedDiscoveryInterface
	metadata  metadata.Interface
	typed     informers.SharedInformerFactory
	all       informerfactory.InformerFactory
	// started is closed once the informers run.
	started chan struct{}
	loops   []func(context.Context)
}

func newSet(config *rest.Config) (*set, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	partial, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of metadata: %w", err)
	}
	typed := informers.NewSharedInformerFactory(client, 0)
	return &set{
		client: client, discovery: memory.NewMemCacheClient(client.Discovery()), metadata: partial, typed: typed,
		all:     informerfactory.NewInformerFactory(typed, metadatainformer.NewSharedInformerFactory(partial, 0)),
		started: make(chan struct{}),
	}, nil
}

// add adds a controller that runs as most do.
func (s *set) add(run func(context.Context, int)) {
	s.loops = append(s.loops, func(ctx context.Context) { run(ctx, workers) })
}

func (s *set) run(ctx context.Context) {
	s.all.Start(ctx.Done())
	close(s.started)
	var running sync.WaitGroup
	for _, loop := range s.loops {
		running.Go(func() { loop(ctx) })
	}
	running.Wait()
}

func (s *set) jobs(ctx context.Context) error {
	jobs, err := job.NewController(ctx, s.client, s.typed.Core().V1().Pods(), s.typed.Batch().V1().Jobs(), nil, nil)
	if err != nil {
		return fmt.Errorf("make the job controller: %w", err)
	}
	s.add(jobs.Run)
	s.add(ttlafterfinished.New(ctx, s.typed.Batch().V1().Jobs(), s.client).Run)
	return nil
}

func (s *set) garbage(ctx context.Context) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(s.discovery)
	collector, err := garbagecollector.NewGarbageCollector(ctx, s.client, s.metadata, mapper,
		garbagecollector.DefaultIgnoredResources(), s.all, s.started)
	if err != nil {
		return fmt.Errorf("make the garbage collector: %w", err)
	}
	s.loops = append(s.loops,
		func(ctx context.Context) { collector.Run(ctx, workers, collectorSync) },
		func(ctx context.Context) { collector.Sync(ctx, s.client.Discovery(), collectorSync) })
	return nil
}

func (s *set) namespaces(ctx context.Context) error {
	s.add(namespace.NewNamespaceController(ctx, s.client, s.metadata, s.client.Discovery().ServerPreferredNamespacedResources,
		s.typed.Core().V1().Namespaces(), namespaceSync, corev1.FinalizerKubernetes).Run)
	return nil
}

func (s *set) accounts(ctx context.Context, ca []byte) error {
	core := s.typed.Core().V1()
	accounts, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(), s.client,
		serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return fmt.Errorf("make the controller of service accounts: %w", err)
	}
	publisher, err := rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), s.client, ca)
	if err != nil {
		return fmt.Errorf("make the publisher of the API server's certificate: %w", err)
	}
	s.add(accounts.Run)
	s.add(publisher.Run)
	return nil
}

// volumes binds claims to volumes that exist; nothing here makes new ones.
func (s *set) volumes(ctx context.Context) error {
	core := s.typed.Core().V1()
	binder, err := persistentvolume.NewController(ctx, persistentvolume.ControllerParameters{
		KubeClient: s.client, SyncPeriod: claimSync,
		VolumeInformer: core.PersistentVolumes(), ClaimInformer: core.PersistentVolumeClaims(),
		ClassInformer: s.typed.Storage().V1().StorageClasses(), PodInformer: core.Pods(), NodeInformer: core.Nodes(),
	})
	if err != nil {
		return fmt.Errorf("make the binder of volumes: %w", err)
	}
	volumes, err := pvprotection.NewPVProtectionController(klog.FromContext(ctx), core.PersistentVolumes(), s.client)
	if err != nil {
		return fmt.Errorf("make the protection of volumes: %w", err)
	}
	claims, err := pvcprotection.NewPVCProtectionController(klog.FromContext(ctx), core.PersistentVolumeClaims(), core.Pods(), s.client)
	if err != nil {
		return fmt.Errorf("make the protection of claims: %w", err)
	}
	s.loops = append(s.loops, binder.Run)
	s.add(volumes.Run)
	s.add(claims.Run)
	return nil
}
