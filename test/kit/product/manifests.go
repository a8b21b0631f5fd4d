package product

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	// fieldOwner owns what is installed.
	fieldOwner = "cargoship-kit"
	// establishTimeout bounds the wait for the API server to serve our types.
	establishTimeout = 2 * time.Minute
	establishPoll    = 100 * time.Millisecond
)

// manifests builds a directory as kubectl kustomize does, without objects of some kinds.
func manifests(dir string, without ...string) ([]*unstructured.Unstructured, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy // types and namespaces first
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("build the manifests of %s: %w", dir, err)
	}
	var objects []*unstructured.Unstructured
	for _, resource := range built.Resources() {
		content, err := resource.Map()
		if err != nil {
			return nil, fmt.Errorf("read the manifests of %s: %w", dir, err)
		}
		if !slices.Contains(without, resource.GetKind()) {
			objects = append(objects, &unstructured.Unstructured{Object: content})
		}
	}
	return objects, nil
}

// install applies config/default and config/populator except what runs the manager as a pod: here it is
// a process, with the rights of the same ServiceAccount.
func (p *Product) install(ctx context.Context) error {
	config := filepath.Join(p.opts.Root, "config")
	objects, err := manifests(filepath.Join(config, "default"), "Deployment", "Service")
	if err != nil {
		return err
	}
	populator, err := manifests(filepath.Join(config, "populator"))
	if err != nil {
		return err
	}
	objects = append(objects, populator...)
	if p.Client, err = NewClient(p.Cluster.Config); err != nil {
		return err
	}
	for _, object := range objects {
		applied := client.ApplyConfigurationFromUnstructured(object)
		if err := p.Client.Apply(ctx, applied, client.FieldOwner(fieldOwner), client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	for _, object := range objects {
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		if err := p.awaitEstablished(ctx, object); err != nil {
			return fmt.Errorf("wait for the type %s: %w", object.GetName(), err)
		}
	}
	return nil
}

// awaitEstablished waits until a type is served.
func (p *Product) awaitEstablished(ctx context.Context, definition *unstructured.Unstructured) error {
	return wait.PollUntilContextTimeout(ctx, establishPoll, establishTimeout, true, func(ctx context.Context) (bool, error) {
		if err := p.Client.Get(ctx, client.ObjectKeyFromObject(definition), definition); err != nil {
			return false, err
		}
		conditions, _, err := unstructured.NestedSlice(definition.Object, "status", "conditions")
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(conditions, func(condition any) bool {
			fields, _ := condition.(map[string]any)
			return fields["type"] == string(apiextensionsv1.Established) && fields["status"] == string(apiextensionsv1.ConditionTrue)
		}), nil
	})
}
