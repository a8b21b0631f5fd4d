package kubectl

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/ui"
	"cargoship.dev/operator/internal/workload"
)

// uiFlags are those of ui.
type uiFlags struct {
	*access
	all        bool
	port       int
	prometheus string
}

func newUICommand(a *access) *cobra.Command {
	f := uiFlags{access: a}
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Serve a page on this machine that shows transfers, restores and destinations live",
		Long: "Serve a page, on loopback only, that shows the transfers and restores of a namespace: how they are doing, what\n" +
			"limits them, and curves of throughput, window, rate, throttling and latency, by prefix and by worker. It reads\n" +
			"the cluster with your own rights and changes nothing. The address that it prints is secret: whoever knows it\n" +
			"can read the page from this machine. It is served until interrupted; the curves begin when it starts.",
		Args: cobra.NoArgs,
		RunE: f.run,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.all, "all-namespaces", "A", false, "show the transfers of all namespaces")
	flags.IntVar(&f.port, "port", 0, "port on 127.0.0.1 and ::1; 0 takes one that is free")
	flags.StringVar(&f.prometheus, "prometheus", "", "URL of a Prometheus server that scrapes the manager: shows past runs, too")
	return cmd
}

func (f *uiFlags) run(cmd *cobra.Command, _ []string) error {
	if f.port < 0 || f.port > 65535 {
		return cli.UsageError{Err: fmt.Errorf("--port %d: must be from 0 to 65535", f.port)}
	}
	c, err := f.open()
	if err != nil {
		return err
	}
	source := uiSource{c, c.namespace}
	if f.all {
		source.namespace = ""
	}
	if err := source.check(cmd.Context()); err != nil {
		return err
	}
	options := ui.Options{Port: f.port, Interval: watchInterval, About: ui.About{
		Cluster: cli.Printable(c.config.Host), Namespace: cli.Printable(source.namespace)}}
	if f.prometheus != "" {
		past, err := ui.NewPrometheus(f.prometheus, source.namespace)
		if err != nil {
			return cli.UsageError{Err: fmt.Errorf("--prometheus %s: %w", f.prometheus, err)}
		}
		options.Past = past
	}
	server, err := ui.Listen(source, options)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", server.URL)
	if err == nil {
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "Open this address in a browser on this machine, and keep it secret. Ctrl-C ends.")
	}
	return errors.Join(err, server.Serve(cmd.Context()))
}

// uiSource looks at the transfers of a namespace, or all with "".
type uiSource struct {
	*cluster
	namespace string
}

// check says at once what would leave the page empty for good: no cluster, or none with
// CargoShip. Rights may still be given.
func (s uiSource) check(ctx context.Context) error {
	var list v1alpha1.ArchiveTransferList
	err := s.List(ctx, &list, client.InNamespace(s.namespace), client.Limit(1))
	if err == nil || apierrors.IsForbidden(err) {
		return nil
	}
	return s.problem(ctx, "list", transfersResource, s.namespace, "", err)
}

// Look implements ui.Source.
func (s uiSource) Look(ctx context.Context) ui.Look {
	look := ui.Look{At: time.Now()}
	var transfers v1alpha1.ArchiveTransferList
	var restores v1alpha1.ArchiveRestoreList
	var profiles v1alpha1.DestinationProfileList
	var events corev1.EventList
	var items []item
	read := func(list client.ObjectList, resource, namespace string, o ...client.ListOption) bool {
		err := s.List(ctx, list, append(o, client.InNamespace(namespace))...)
		if err == nil || unserved(err) && resource != transfersResource {
			return true // A cluster of an earlier version lacks some kinds.
		}
		look.Problems = append(look.Problems, oneLine(s.problem(ctx, "list", resource, namespace, "", err)))
		return false
	}
	if !read(&transfers, transfersResource, s.namespace) {
		look.Unread = append(look.Unread, workload.KindTransfer)
	}
	for i := range transfers.Items {
		items = append(items, itemOf(&transfers.Items[i]))
	}
	if !read(&restores, restoresResource, s.namespace) {
		look.Unread = append(look.Unread, workload.KindRestore)
	}
	for i := range restores.Items {
		items = append(items, itemOf(&restores.Items[i]))
	}
	leases, err := s.leases(ctx, s.namespace)
	if err != nil {
		look.Problems = append(look.Problems, oneLine(err))
	}
	look.Items = explained(items, leases)
	read(&events, "events", s.namespace, client.MatchingFields{"involvedObject.apiVersion": v1alpha1.GroupVersion.String()})
	look.Events = events.Items
	read(&profiles, "destinationprofiles", "")
	look.Profiles = profiles.Items
	return look
}
