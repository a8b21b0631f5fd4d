package controllers_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/coordinator"
	"cargoship.dev/operator/controllers/lifecycle"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/controllers/policy"
	"cargoship.dev/operator/internal/metrics"
)

var (
	restConfig *rest.Config
	scheme     *runtime.Scheme
	api        client.Client
	// exported are the metrics of the manager that startManager started last.
	exported *prometheus.Registry
)

func TestControllers(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	RunSpecs(t, "Controllers against an API server")
}

var _ = BeforeSuite(func() {
	ctrl.SetLogger(GinkgoLogr)
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../config/crd/bases"}, ErrorIfCRDPathMissing: true}
	DeferCleanup(env.Stop) // also of one that has come up in part
	var err error
	restConfig, err = env.Start()
	Expect(err).NotTo(HaveOccurred(), "starting an API server; `make test` sets KUBEBUILDER_ASSETS to its programs")
	scheme = runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	api, err = client.New(restConfig, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

// startManager runs the controllers until stop is called, which waits for them. Without
// more, claims alone are allowed as sources.
func startManager(allowed ...lifecycle.AllowedSources) (stop func()) {
	GinkgoHelper()
	mgr := newManager()
	exported = prometheus.NewRegistry()
	m, err := metrics.New(exported)
	Expect(err).NotTo(HaveOccurred())
	Expect((&lifecycle.Reconciler{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("cargoship"),
		Clock: clock.RealClock{}, Metrics: m, WorkerImage: "worker:test", Allowed: append(allowed, lifecycle.AllowedSources{})[0],
	}).SetupWithManager(mgr)).To(Succeed())
	Expect(mgr.Add(&coordinator.Coordinator{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Clock: clock.RealClock{}, Metrics: m, Recorder: mgr.GetEventRecorder("cargoship"),
		Rand: rand.New(rand.NewPCG(1, 2)),
	})).To(Succeed())
	Expect((&policy.Reconciler{
		Client: mgr.GetClient(), Clock: clock.RealClock{}, Recorder: mgr.GetEventRecorder("cargoship"), Metrics: m,
	}).SetupWithManager(mgr)).To(Succeed())
	return start(mgr)
}

// newManager returns one that reads as cmd/manager does.
func newManager() ctrl.Manager {
	GinkgoHelper()
	options, err := objects.ManagerOptions()
	Expect(err).NotTo(HaveOccurred())
	options.Metrics = metricsserver.Options{BindAddress: "0"}
	options.Controller = config.Controller{SkipNameValidation: ptr.To(true)}
	mgr, err := ctrl.NewManager(restConfig, options)
	Expect(err).NotTo(HaveOccurred())
	return mgr
}

// start runs a manager until stop is called, which waits for it.
func start(mgr ctrl.Manager) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	running := true
	stop = func() {
		if running {
			running = false
			cancel()
			Expect(<-ended).To(Succeed())
		}
	}
	DeferCleanup(func() { stop() })
	return stop
}
