package kubectl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	"cargoship.dev/operator/api/v1alpha1"
)

// errNone means that an object does not exist, or no longer.
var errNone = errors.New("not found")

// problem wraps an API error with what was attempted, on what, and what to do.
func (c *cluster) problem(ctx context.Context, verb, resource, namespace, name string, err error) error {
	what := resource
	if name != "" {
		what = strings.TrimSuffix(resource, "s") + " " + name
	}
	where := "in namespace " + namespace
	if namespace == "" {
		where = "in all namespaces"
	}
	attempt := fmt.Sprintf("%s %s %s", verb, what, where)
	_, refused := errors.AsType[net.Error](err)
	_, reached := errors.AsType[*url.Error](err)
	switch {
	case ctx.Err() != nil:
		return err
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s: not allowed: ask for the verb %s on %s, or check with `kubectl auth can-i %s %s`: %w",
			attempt, verb, qualified(resource), verb, qualified(resource), err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s: the cluster at %s rejects the credentials of the kubeconfig: log in again: %w", attempt, c.config.Host, err)
	case unserved(err):
		return fmt.Errorf("%s: %w", attempt, c.whyUnserved(err))
	case apierrors.IsNotFound(err) && (resource == transfersResource || resource == restoresResource):
		return fmt.Errorf("%s: %w: `kubectl cargoship status -A` lists what there is", attempt, errNone)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%s: %w", attempt, errNone)
	case refused || reached:
		return fmt.Errorf("%s: cannot reach the cluster at %s: check the context of the kubeconfig: %w", attempt, c.config.Host, err)
	}
	return fmt.Errorf("%s: %w", attempt, err)
}

// qualified names a resource as kubectl does.
func qualified(resource string) string {
	switch resource {
	case transfersResource, restoresResource, "prefixleases", "destinationprofiles":
		return resource + "." + v1alpha1.GroupVersion.Group
	}
	return resource
}

// unserved tells whether the server does not know the resource, as opposed to the object.
func unserved(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsNotFound(err) {
		return false
	}
	details := status.Status().Details
	if details == nil {
		return true
	}
	for _, cause := range details.Causes {
		if cause.Type == metav1.CauseTypeUnexpectedServerResponse {
			return true
		}
	}
	return details.Name == "" && details.Kind == ""
}

// whyUnserved looks for other versions of the API.
func (c *cluster) whyUnserved(err error) error {
	missing := errors.New("CargoShip is not installed in this cluster: its CRDs are missing; see docs/operations.md for how to install it")
	d, clientErr := discovery.NewDiscoveryClientForConfig(c.config)
	if clientErr != nil {
		return err
	}
	groups, listErr := d.ServerGroups()
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	for _, g := range groups.Groups {
		if g.Name != v1alpha1.GroupVersion.Group {
			continue
		}
		var versions []string
		for _, v := range g.Versions {
			if v.Version == v1alpha1.GroupVersion.Version {
				return fmt.Errorf("the CargoShip of this cluster is older than this command and lacks the resource: upgrade it, or use the command of its version")
			}
			versions = append(versions, v.Version)
		}
		return fmt.Errorf("the cluster serves version %s of the API, this command speaks %s: use the command of the cluster's version",
			strings.Join(versions, ", "), v1alpha1.GroupVersion.Version)
	}
	return missing
}
