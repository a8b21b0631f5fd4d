package kubectl

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/explain"
	"cargoship.dev/operator/internal/kubectl/view"
	"cargoship.dev/operator/internal/workload"
)

// Requests per second and in a burst, as kubectl allows itself.
const (
	clientQPS   = 50
	clientBurst = 300
)

// access is the cluster that the flags of kubectl select. Nothing is read until it is opened.
type access struct {
	flags *genericclioptions.ConfigFlags
}

func newAccess() *access { return &access{genericclioptions.NewConfigFlags(true)} }

func (a *access) addFlags(flags *pflag.FlagSet) { a.flags.AddFlags(flags) }

// cluster is an open connection.
type cluster struct {
	client.Client
	config    *rest.Config
	namespace string
}

// open reads the kubeconfig.
func (a *access) open() (*cluster, error) {
	config, err := a.flags.ToRESTConfig()
	if err == nil {
		err = a.missing()
	}
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w: set KUBECONFIG, or see --kubeconfig and --context", err)
	}
	config.QPS, config.Burst = clientQPS, clientBurst
	// Warnings of the API server would end up in the middle of a table.
	config.WarningHandler = rest.NoWarnings{}
	namespace, _, err := a.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, fmt.Errorf("find the namespace: %w", err)
	}
	scheme := runtime.NewScheme()
	if err := addTypes(scheme); err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper()})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster at %s: %w", config.Host, err)
	}
	return &cluster{c, config, namespace}, nil
}

// missing returns an error if nothing names a cluster: without a kubeconfig the client
// would try this machine.
func (a *access) missing() error {
	if *a.flags.APIServer != "" || os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return nil
	}
	raw, err := a.flags.ToRawKubeConfigLoader().RawConfig()
	if err == nil && len(raw.Clusters) == 0 {
		return fmt.Errorf("no kubeconfig names one")
	}
	return err
}

func addTypes(scheme *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("register types: %w", err)
		}
	}
	return nil
}

// mapper knows the few kinds that are read, so that no command needs API discovery.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{workload.KindTransfer, workload.KindRestore, "PrefixLease"} {
		m.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	m.Add(v1alpha1.GroupVersion.WithKind("DestinationProfile"), meta.RESTScopeRoot)
	for _, kind := range []string{"Pod", "Secret", "ConfigMap", "Event"} {
		m.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	return m
}

// Resources as the API names them.
const (
	transfersResource = "archivetransfers"
	restoresResource  = "archiverestores"
)

// item is an object that moves data.
type item struct {
	client.Object
	run explain.Run
}

func itemOf(o client.Object) item {
	w := workload.Of(o)
	o.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(w.Kind))
	return item{o, explain.FromWorkload(w)}
}

// resource is that of the item.
func (i item) resource() string {
	if i.run.Kind == workload.KindRestore {
		return restoresResource
	}
	return transfersResource
}

// title is how messages name the item.
func (i item) title() string { return strings.ToLower(i.run.Kind) + " " + i.GetName() }

// named reads one: a transfer by its name, a restore by restore/NAME.
func (c *cluster) named(ctx context.Context, name string) (item, error) {
	var o client.Object = &v1alpha1.ArchiveTransfer{}
	resource := transfersResource
	bare, restore := strings.CutPrefix(name, explain.RestorePrefix)
	if restore {
		o, resource = &v1alpha1.ArchiveRestore{}, restoresResource
	}
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: bare}, o); err != nil {
		return item{}, c.problem(ctx, "get", resource, c.namespace, bare, err)
	}
	return itemOf(o), nil
}

// transfer reads one for a command that restores have no use for.
func (c *cluster) transfer(ctx context.Context, name string) (*v1alpha1.ArchiveTransfer, error) {
	if strings.HasPrefix(name, explain.RestorePrefix) {
		return nil, fmt.Errorf("%s: this command is for transfers", name)
	}
	one, err := c.named(ctx, name)
	if err != nil {
		return nil, err
	}
	return workload.Of(one.Object).Transfer, nil
}

// items lists the objects of a namespace, "" for all, by name. A cluster of an earlier version
// has no restores.
func (c *cluster) items(ctx context.Context, namespace string, o ...client.ListOption) ([]item, error) {
	o = append(o, client.InNamespace(namespace))
	var transfers v1alpha1.ArchiveTransferList
	if err := c.List(ctx, &transfers, o...); err != nil {
		return nil, c.problem(ctx, "list", transfersResource, namespace, "", err)
	}
	var restores v1alpha1.ArchiveRestoreList
	if err := c.List(ctx, &restores, o...); err != nil && !unserved(err) {
		return nil, c.problem(ctx, "list", restoresResource, namespace, "", err)
	}
	var items []item
	for i := range transfers.Items {
		items = append(items, itemOf(&transfers.Items[i]))
	}
	for i := range restores.Items {
		items = append(items, itemOf(&restores.Items[i]))
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.run.Kind, b.run.Kind), strings.Compare(a.GetName(), b.GetName()))
	})
	return items, nil
}

// leases are those of a namespace, by the UID of what controls them.
func (c *cluster) leases(ctx context.Context, namespace string) (map[string][]v1alpha1.PrefixLease, error) {
	var list v1alpha1.PrefixLeaseList
	if err := c.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, c.problem(ctx, "list", "prefixleases", namespace, "", err)
	}
	of := map[string][]v1alpha1.PrefixLease{}
	for _, lease := range list.Items {
		if owner := metav1.GetControllerOf(&lease); owner != nil {
			of[string(owner.UID)] = append(of[string(owner.UID)], lease)
		}
	}
	return of, nil
}

// observed returns the object of a name, and the leases of its namespace by their owners.
func (a *access) observed(ctx context.Context, name string) (item, map[string][]v1alpha1.PrefixLease, error) {
	c, err := a.open()
	if err != nil {
		return item{}, nil, err
	}
	one, err := c.named(ctx, name)
	if err != nil {
		return item{}, nil, err
	}
	leases, err := c.leases(ctx, c.namespace)
	return one, leases, err
}

// explained are items with their leases and what limits them.
func explained(items []item, leases map[string][]v1alpha1.PrefixLease) []view.Item {
	out := make([]view.Item, len(items))
	for i, item := range items {
		own := leases[string(item.GetUID())]
		out[i] = view.Item{Run: item.run, Leases: own, Answer: explain.Explain(item.run, own)}
	}
	return out
}
