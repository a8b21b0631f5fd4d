package kubectl

import (
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
)

// Requests per second and in a burst, as kubectl allows itself.
const (
	clientQPS   = 50
	clientBurst = 300
)

// access is a cluster, as the flags of kubectl name it. Nothing is read before it is asked for.
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
		return nil, fmt.Errorf("finding the cluster: %w: set KUBECONFIG, or see --kubeconfig and --context", err)
	}
	config.QPS, config.Burst = clientQPS, clientBurst
	// What the API server warns of goes to the manager's users, not into a table.
	config.WarningHandler = rest.NoWarnings{}
	namespace, _, err := a.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, fmt.Errorf("finding the namespace: %w", err)
	}
	scheme := runtime.NewScheme()
	if err := addTypes(scheme); err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper()})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster at %s: %w", config.Host, err)
	}
	return &cluster{c, config, namespace}, nil
}

// missing says so if nothing names a cluster: without a kubeconfig the client would try
// this machine.
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
			return fmt.Errorf("registering types: %w", err)
		}
	}
	return nil
}

// mapper knows the few kinds that are read, so that no command has to ask what there is.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{v1alpha1.KindTransfer, "PrefixLease"} {
		m.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	m.Add(v1alpha1.GroupVersion.WithKind("DestinationProfile"), meta.RESTScopeRoot)
	for _, kind := range []string{"Pod", "Secret", "ConfigMap", "Event"} {
		m.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	return m
}

// item is an object that moves data. Another kind is another function that lists it.
type item struct {
	client.Object
	run explain.Run
}

// transfer reads one by its name.
func (c *cluster) transfer(ctx context.Context, name string) (*v1alpha1.ArchiveTransfer, error) {
	at := &v1alpha1.ArchiveTransfer{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, at); err != nil {
		return nil, c.problem(ctx, "get", "archivetransfers", c.namespace, name, err)
	}
	at.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.KindTransfer))
	return at, nil
}

// items lists the objects of a namespace, "" for all, by name.
func (c *cluster) items(ctx context.Context, namespace string, o ...client.ListOption) ([]item, error) {
	var list v1alpha1.ArchiveTransferList
	if err := c.List(ctx, &list, append(o, client.InNamespace(namespace))...); err != nil {
		return nil, c.problem(ctx, "list", "archivetransfers", namespace, "", err)
	}
	var items []item
	for i := range list.Items {
		at := &list.Items[i]
		at.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(v1alpha1.KindTransfer))
		items = append(items, item{at, explain.FromWorkload(v1alpha1.WorkloadOf(at))})
	}
	slices.SortFunc(items, func(a, b item) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
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

// explained are items with their leases and what limits them.
func explained(items []item, leases map[string][]v1alpha1.PrefixLease) []view.Item {
	out := make([]view.Item, len(items))
	for i, item := range items {
		own := leases[string(item.GetUID())]
		out[i] = view.Item{Run: item.run, Leases: own, Answer: explain.Explain(item.run, own)}
	}
	return out
}
