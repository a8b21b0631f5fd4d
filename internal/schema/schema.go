// Package schema compares the API that a cluster serves with the one that this program was
// built for.
package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/openapi"

	"cargoship.dev/operator/api/v1alpha1"
)

// property is one node of a published schema.
type property struct {
	Properties map[string]property `json:"properties"`
	Items      *property           `json:"items"`
	Kinds      []struct {
		Kind string `json:"kind"`
	} `json:"x-kubernetes-group-version-kind"`
}

// patience is how long CRDs that were just applied may take to be published.
const patience = 30 * time.Second

// Await waits until Check finds nothing, for patience.
func Await(ctx context.Context, served openapi.Client) error {
	var missing error
	err := wait.PollUntilContextTimeout(ctx, time.Second, patience, true, func(context.Context) (bool, error) {
		missing = Check(served)
		return missing == nil, nil
	})
	if missing != nil {
		return missing
	}
	return err
}

// Check compares the API that the cluster serves with the one this manager was
// built for. An older CRD would drop what the manager writes, without a word; a later
// one does no harm. The error names every field that is missing.
func Check(served openapi.Client) error {
	schemas, err := servedSchemas(served)
	if err != nil {
		return err
	}
	var missing []string
	for _, o := range []any{v1alpha1.ArchiveTransfer{}, v1alpha1.ArchiveRestore{}, v1alpha1.PrefixLease{}, v1alpha1.DestinationProfile{}} {
		kind := reflect.TypeOf(o)
		schema, there := schemas[kind.Name()]
		if !there {
			missing = append(missing, kind.Name())
			continue
		}
		missing = append(missing, lacking(schema, kind, kind.Name())...)
	}
	if len(missing) > 0 {
		return fmt.Errorf("the CustomResourceDefinitions of the cluster are older than this manager and lack %s; apply those of this version (helm upgrade does, as does kubectl apply -k config/crd)",
			strings.Join(missing, ", "))
	}
	return nil
}

// servedSchemas reads what the API server publishes of our group, by kind.
func servedSchemas(served openapi.Client) (map[string]property, error) {
	group := "apis/" + v1alpha1.GroupVersion.String()
	paths, err := served.Paths()
	if err != nil {
		return nil, fmt.Errorf("read which APIs the cluster serves: %w", err)
	}
	path := paths[group]
	if path == nil {
		return nil, nil
	}
	text, err := path.Schema("application/json")
	if err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", group, err)
	}
	var document struct {
		Components struct {
			Schemas map[string]property `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("decode the schema of %s: %w", group, err)
	}
	byKind := map[string]property{}
	for _, p := range document.Components.Schemas {
		for _, k := range p.Kinds {
			byKind[k.Kind] = p
		}
	}
	return byKind, nil
}

// lacking returns the fields of a type of ours that the schema does not know. Types
// of other packages are not looked into.
func lacking(schema property, t reflect.Type, path string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if t.Kind() == reflect.Slice && schema.Items != nil {
			schema = *schema.Items
		}
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[v1alpha1.ArchiveTransfer]().PkgPath() {
		return nil
	}
	var missing []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			missing = append(missing, lacking(schema, f.Type, path)...)
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		below, known := schema.Properties[name]
		if !known {
			missing = append(missing, path+"."+name)
			continue
		}
		missing = append(missing, lacking(below, f.Type, path+"."+name)...)
	}
	slices.Sort(missing)
	return missing
}
