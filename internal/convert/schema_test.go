package convert

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// admission is what an API server does with a transfer before it stores it.
type admission struct {
	structural *schema.Structural
	values     validation.SchemaCreateValidator
	rules      *cel.Validator
	spec       apiextensionsv1.JSONSchemaProps
}

func newAdmission(t *testing.T) admission {
	text, err := os.ReadFile("../../config/crd/bases/transfer.cargoship.dev_archivetransfers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		t.Fatal(err)
	}
	published := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(published, &props, nil); err != nil {
		t.Fatal(err)
	}
	a := admission{spec: published.Properties["spec"]}
	if a.structural, err = schema.NewStructural(&props); err != nil {
		t.Fatal(err)
	}
	if a.values, _, err = validation.NewSchemaValidator(&props); err != nil {
		t.Fatal(err)
	}
	a.rules = cel.NewValidator(a.structural, true, math.MaxUint64)
	return a
}

// transferObject is a transfer as somebody applies it.
func transferObject() map[string]any {
	return map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "ArchiveTransfer", "metadata": map[string]any{"name": "t"},
		"spec": map[string]any{
			"source":      map[string]any{"persistentVolumeClaim": map[string]any{"claimName": "c"}},
			"destination": map[string]any{"bucket": "bucket", "credentials": map[string]any{"secretName": "s"}},
		},
	}
}

// admit fills in defaults, and tells why an object is rejected.
func (a admission) admit(ctx context.Context, o map[string]any) error {
	defaulting.Default(o, a.structural)
	errs := validation.ValidateCustomResource(nil, o, a.values)
	if len(errs) == 0 {
		errs, _ = a.rules.Validate(ctx, field.NewPath(""), a.structural, o, nil, math.MaxInt64)
	}
	return errs.ToAggregate()
}

// draw draws a value by the bounds of its schema; nothing, for some that may be absent.
func draw(t *rapid.T, name string, s apiextensionsv1.JSONSchemaProps) any {
	switch {
	case len(s.Enum) > 0:
		var word string
		if err := yaml.Unmarshal(rapid.SampledFrom(s.Enum).Draw(t, name).Raw, &word); err != nil {
			t.Fatal(err)
		}
		return word
	case s.Type == "integer":
		low, high := int64(0), int64(math.MaxInt32)
		if s.Minimum != nil {
			low = int64(*s.Minimum)
		}
		if s.Maximum != nil {
			high = int64(*s.Maximum)
		}
		return rapid.OneOf(rapid.Just(low), rapid.Just(high), rapid.Int64Range(low, high)).Draw(t, name)
	case s.Type == "boolean":
		return rapid.Bool().Draw(t, name)
	case s.Type == "string": // a duration
		return (time.Duration(rapid.Int64Range(0, 700_000).Draw(t, name)) * time.Millisecond).String()
	}
	o := map[string]any{}
	for key, below := range s.Properties {
		if rapid.Bool().Draw(t, "has "+name+"."+key) {
			o[key] = draw(t, name+"."+key, below)
		}
	}
	return o
}

// Whatever the API server admits the core admits: there is one judge, and a user learns
// of it at kubectl apply.
func TestTheCoreTakesWhatTheSchemaAdmits(t *testing.T) {
	a := newAdmission(t)
	admitted := 0
	rapid.Check(t, func(t *rapid.T) {
		o := transferObject()
		for _, part := range []string{"coordination", "weight", "failurePolicy", "suspend"} {
			o["spec"].(map[string]any)[part] = draw(t, part, a.spec.Properties[part])
		}
		if a.admit(t.Context(), o) != nil {
			return
		}
		admitted++
		at := &v1alpha1.ArchiveTransfer{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o, at); err != nil {
			t.Fatal(err)
		}
		at.UID = "1"
		if err := Validate(workload.Of(at)); err != nil {
			t.Fatalf("the API server admits what the core rejects: %v\n%s", err, fmt.Sprint(o["spec"]))
		}
	})
	if admitted == 0 {
		t.Error("the schema admitted nothing that was drawn")
	}
	t.Logf("%d admitted", admitted)
}

func TestTheMessageOfAConditionIsBounded(t *testing.T) {
	a := newAdmission(t)
	for length, want := range map[int]bool{1024: true, 1025: false} {
		o := transferObject()
		o["status"] = map[string]any{"conditions": []any{map[string]any{
			"type": "Degraded", "status": "True", "reason": "R", "lastTransitionTime": "2026-11-28T00:00:00Z",
			"message": strings.Repeat("x", length),
		}}}
		if err := a.admit(t.Context(), o); (err == nil) != want {
			t.Errorf("a message of %d characters: %v", length, err)
		}
	}
}
