package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/worker"
)

// service is the worker's name in traces.
const service = "cargoship-worker"

// runFlags are the flags of `worker run`; the manager sets them in the pods it creates.
type runFlags struct {
	site                  siteFlags
	podName, podNamespace string
	podUID                string
}

// siteFlags are the paths at which source or target, credentials and CA bundle are mounted.
type siteFlags struct {
	sourceDir, targetDir string
	access               worker.Access
	memoryLimit          int64
}

// site is what a pod was given.
type site interface {
	Serve(ctx context.Context, leases worker.Leases, podUID types.UID, instance string, logger *slog.Logger) error
	Finish(ctx context.Context, o worker.FinishOptions, logger *slog.Logger) error
}

func newRunCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Move archives under a lease, in a pod of an ArchiveTransfer or ArchiveRestore",
		Args:  cobra.NoArgs,
		RunE:  cli.Traced(service, func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), f) }),
	}
	f.site.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.podName, "pod-name", "", "name of this pod, and of its PrefixLease")
	flags.StringVar(&f.podNamespace, "pod-namespace", "", "namespace of this pod")
	flags.StringVar(&f.podUID, "pod-uid", "", "UID of this pod")
	for _, name := range []string{"pod-name", "pod-namespace", "pod-uid"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func (f *siteFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.sourceDir, "source-dir", "/source", "where the source volume is mounted")
	flags.StringVar(&f.targetDir, "target-dir", "/target", "where the target volume of a restore is mounted")
	flags.StringVar(&f.access.CredentialsDir, "credentials-dir", "/var/run/cargoship/credentials", "where the credentials Secret is mounted, if any")
	flags.StringVar(&f.access.CAFile, "ca-file", "/var/run/cargoship/ca/ca.crt", "where the CA bundle is mounted, if any")
	flags.Int64Var(&f.memoryLimit, "memory-limit", 0, "memory limit of the pod in bytes; 0 for none")
}

// site joins flags and the restore or transfer that the manager hands over.
func (f siteFlags) site() (site, error) {
	if text := os.Getenv(v1alpha1.RestoreConfigEnv); text != "" {
		restore, err := worker.ParseRestore(text)
		return worker.RestoreSite{Restore: restore, TargetDir: f.targetDir, Access: f.access, MemoryLimit: f.memoryLimit}, err
	}
	transfer, err := worker.ParseTransfer(os.Getenv(v1alpha1.WorkerConfigEnv))
	return worker.Site{Transfer: transfer, SourceDir: f.sourceDir, Access: f.access, MemoryLimit: f.memoryLimit}, err
}

func run(ctx context.Context, f runFlags) error {
	site, err := f.site.site()
	if err != nil {
		return err
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	leases, err := worker.NewLeaseClient(config, types.NamespacedName{Namespace: f.podNamespace, Name: f.podName})
	if err != nil {
		return err
	}
	return site.Serve(ctx, leases, types.UID(f.podUID), uuid.NewString(), logger)
}
