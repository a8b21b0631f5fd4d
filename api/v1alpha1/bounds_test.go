package v1alpha1_test

import (
	"os"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// A worker writes the status of its lease, so every number, text and list in it has a
// bound in the schema.
func TestEveryPartOfAReportIsBounded(t *testing.T) {
	text, err := os.ReadFile("../../config/crd/bases/transfer.cargoship.dev_prefixleases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensions.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	status := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
	if n := checkBounds(t, "status", status); n < 30 {
		t.Errorf("%d fields were looked at, want all of the report", n)
	}
}

// checkBounds looks at a field and all below it, and gives their number.
func checkBounds(t *testing.T, path string, s apiextensions.JSONSchemaProps) int {
	t.Helper()
	switch {
	case path == "status.conditions[].observedGeneration": // by the rule of the conditions
	case s.Type == "integer" && s.Maximum == nil:
		t.Errorf("%s has no maximum", path)
	case s.Type == "string" && s.MaxLength == nil && len(s.Enum) == 0 && s.Format != "date-time":
		t.Errorf("%s has no greatest length", path)
	case s.Type == "array" && s.MaxItems == nil:
		t.Errorf("%s has no greatest number of items", path)
	}
	n := 1
	if s.Items != nil && s.Items.Schema != nil {
		n += checkBounds(t, path+"[]", *s.Items.Schema)
	}
	for name, p := range s.Properties {
		n += checkBounds(t, path+"."+name, p)
	}
	return n
}
