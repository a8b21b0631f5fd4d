// Command manager reconciles ArchiveTransfers and coordinates their workers.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	_ "time/tzdata" // for schedules; the image has none

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"cargoship.dev/operator/controllers/coordinator"
	"cargoship.dev/operator/controllers/lifecycle"
	notifycontroller "cargoship.dev/operator/controllers/notify"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/controllers/policy"
	"cargoship.dev/operator/internal/metrics"
	"cargoship.dev/operator/internal/notify"
	"cargoship.dev/operator/internal/schema"
	"cargoship.dev/operator/internal/tracing"
)

const (
	// defaultAPIBudget is in requests per second, leastAPIBudget what a transfer of a few workers needs.
	defaultAPIBudget = 250
	leastAPIBudget   = 25
	// requestsPerReport is what a report costs at most: itself, the grant that answers it, and three
	// reads of the lease in between. In a large fleet it costs three requests.
	requestsPerReport = 5
)

// usageError is a mistake on the command line; it exits with 2.
type usageError struct{ error }

func main() {
	cmd := command()
	err := cmd.ExecuteContext(ctrl.SetupSignalHandler())
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "manager: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		os.Exit(2)
	}
	os.Exit(1)
}

type options struct {
	metricsAddress  string
	metricsSecure   bool
	probeAddress    string
	leaderElect     bool
	leaderNamespace string
	workerImage     string
	allowed         lifecycle.AllowedSources
	populates       bool
	apiBudget       int
	notifyURL       string
	notifyKeyFile   string
	logLevel        string
	logFormat       string
}

func command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "manager",
		Short:         "Reconciles ArchiveTransfers and coordinates their workers",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := newLogger(o, cmd.ErrOrStderr())
			if err != nil {
				return usageError{err}
			}
			ctrl.SetLogger(logger)
			stop, err := tracing.Start(cmd.Context(), "cargoship-manager", slog.New(logr.ToSlogHandler(logger)))
			if err != nil {
				return usageError{err}
			}
			defer func() { _ = stop(context.WithoutCancel(cmd.Context())) }() // The log says what it lacked.
			mgr, err := newManager(cmd.Context(), o)
			if err != nil {
				return err
			}
			return mgr.Start(cmd.Context())
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; manager --help lists the flags", err)}
	})
	f := cmd.Flags()
	f.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of the metrics endpoint; 0 turns it off")
	f.BoolVar(&o.metricsSecure, "metrics-secure", true, "serve metrics over TLS to authenticated and authorized callers only")
	f.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 turns them off")
	f.BoolVar(&o.leaderElect, "leader-elect", false, "let one of several managers lead")
	f.StringVar(&o.leaderNamespace, "leader-election-namespace", "", "namespace of the leader election lease; the manager's own by default")
	f.StringVar(&o.workerImage, "worker-image", "", "image of worker pods (required)")
	f.BoolVar(&o.allowed.HostPath, "allow-host-path-sources", false, "allow hostPath sources: anyone who may create ArchiveTransfers can then read the nodes' files")
	f.BoolVar(&o.allowed.NFS, "allow-nfs-sources", false, "allow nfs sources: anyone who may create ArchiveTransfers can then read, as any user ID, every export that the nodes can mount")
	f.BoolVar(&o.populates, "allow-volume-populator", false, "let ArchiveRestores populate claims that name them in spec.dataSourceRef, for which the manager changes PersistentVolumes")
	f.IntVar(&o.apiBudget, "api-budget", defaultAPIBudget, "requests per second that the manager and the workers of a destination make of the API server; large fleets send with few workers at first, and report less often, for it")
	f.StringVar(&o.notifyURL, "notify-url", "", "send an event (CloudEvents) to this URL when a transfer or a restore ends; off by default")
	f.StringVar(&o.notifyKeyFile, "notify-key-file", "", "file of the key that events are signed with (required by --notify-url)")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "json", "json or text")
	return cmd
}

func newLogger(o options, w io.Writer) (logr.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return logr.Logger{}, fmt.Errorf("--log-level is %q; it must be debug, info, warn or error", o.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case "json":
		return logr.FromSlogHandler(slog.NewJSONHandler(w, options)), nil
	case "text":
		return logr.FromSlogHandler(slog.NewTextHandler(w, options)), nil
	}
	return logr.Logger{}, fmt.Errorf("--log-format is %q; it must be json or text", o.logFormat)
}

// newManager wires the controllers to the cluster that the environment names.
func newManager(ctx context.Context, o options) (ctrl.Manager, error) {
	if o.workerImage == "" {
		return nil, usageError{errors.New("--worker-image is required: the image that worker pods run")}
	}
	if o.apiBudget < leastAPIBudget {
		return nil, usageError{fmt.Errorf("--api-budget is %d; it must be at least %d", o.apiBudget, leastAPIBudget)}
	}
	if o.notifyURL == "" && o.notifyKeyFile != "" {
		return nil, usageError{errors.New("--notify-key-file has no use without --notify-url")}
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w; run in a pod, or set KUBECONFIG", err)
	}
	// Grants are a fifth of the budget in the long run. When a fleet begins nobody reports yet, and
	// the manager may use all of it for the leases.
	config.QPS, config.Burst = float32(o.apiBudget), o.apiBudget
	served, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create a client for the API server %s: %w", config.Host, err)
	}
	if err := schema.Await(ctx, served.OpenAPIV3()); err != nil {
		return nil, err
	}
	mgr, err := newRuntime(config, o)
	if err != nil {
		return nil, err
	}
	return mgr, setup(mgr, o)
}

func newRuntime(config *rest.Config, o options) (ctrl.Manager, error) {
	options, err := objects.ManagerOptions()
	if err != nil {
		return nil, err
	}
	metricsOptions := metricsserver.Options{BindAddress: o.metricsAddress, SecureServing: o.metricsSecure}
	if o.metricsSecure {
		metricsOptions.FilterProvider = filters.WithAuthenticationAndAuthorization
		metricsOptions.TLSOpts = []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }}
	}
	options.Metrics = metricsOptions
	options.HealthProbeBindAddress = o.probeAddress
	options.LeaderElection = o.leaderElect
	options.LeaderElectionID = "cargoship-manager"
	options.LeaderElectionNamespace = o.leaderNamespace
	options.LeaderElectionReleaseOnCancel = true
	return ctrl.NewManager(config, options)
}

func setup(mgr ctrl.Manager, o options) error {
	m, err := metrics.New(ctrlmetrics.Registry)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	recorder := mgr.GetEventRecorder("cargoship")
	reconciler := &lifecycle.Reconciler{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Recorder: recorder,
		Clock: clock.RealClock{}, Metrics: m, WorkerImage: o.workerImage, Allowed: o.allowed, Populates: o.populates,
		WorkerEnv: tracing.Handed(),
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("register the lifecycle reconciler: %w", err)
	}
	runnable := &coordinator.Coordinator{
		Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Clock: clock.RealClock{}, Metrics: m, Recorder: recorder,
		Rand:             rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		ReportsPerSecond: o.apiBudget / requestsPerReport,
	}
	if err := mgr.Add(runnable); err != nil {
		return fmt.Errorf("register the coordinator: %w", err)
	}
	policies := &policy.Reconciler{Client: mgr.GetClient(), Clock: clock.RealClock{}, Recorder: recorder, Metrics: m}
	if err := policies.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("register the policy reconciler: %w", err)
	}
	if err := setupNotifications(mgr, o, m); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("register the health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("register the readiness check: %w", err)
	}
	return nil
}

// setupNotifications tells a receiver of what has ended, if there is one.
func setupNotifications(mgr ctrl.Manager, o options, m *metrics.Metrics) error {
	if o.notifyURL == "" {
		return nil
	}
	sender, err := notify.NewSender(o.notifyURL, o.notifyKeyFile, clock.RealClock{})
	if err != nil {
		return usageError{fmt.Errorf("--notify-url and --notify-key-file: %w", err)}
	}
	told := &notifycontroller.Reconciler{Client: mgr.GetClient(), APIReader: mgr.GetAPIReader(), Clock: clock.RealClock{}, Sender: sender, Metrics: m}
	if err := told.SetupWithManager(mgr); err != nil {
		return fmt.Errorf("register the reconciler of notifications: %w", err)
	}
	return nil
}
