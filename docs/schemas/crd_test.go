package schemas_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/docs/schemas/schematest"
)

// schemaOf finds the published schema of an object as kubeconform does: by its kind, the first part
// of its group, and its version.
func schemaOf(t *testing.T, object map[string]any) schematest.Schema {
	t.Helper()
	group, version, _ := strings.Cut(object["apiVersion"].(string), "/") //nolint:forcetypeassert // It is in a test.
	first, _, _ := strings.Cut(group, ".")
	name := strings.ToLower(object["kind"].(string)+"-"+first+"-"+version) + ".json" //nolint:forcetypeassert // It is in a test.
	text, err := os.ReadFile(filepath.Join("crd", name))
	if err != nil {
		t.Fatal(err)
	}
	return schematest.Compile(t, text)
}

// The samples keep to the published schemas, and mistakes in them are found.
func TestSamplesKeepToTheSchemasOfEditors(t *testing.T) {
	files, err := filepath.Glob("../../config/samples/transfer_*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	checked := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			object := map[string]any{}
			if err := yaml.Unmarshal(document, &object); err != nil {
				t.Fatal(err)
			}
			if group, _ := object["apiVersion"].(string); strings.HasPrefix(group, "transfer.cargoship.dev/") {
				checked++
				t.Run(filepath.Base(file), func(t *testing.T) { checkSample(t, object) })
			}
		}
	}
	if checked < len(files) {
		t.Errorf("%d objects are of our kinds, want one in each of %d samples", checked, len(files))
	}
}

func checkSample(t *testing.T, object map[string]any) {
	schema := schemaOf(t, object)
	validate := func() error {
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if text, err = yaml.YAMLToJSON(text); err != nil {
			t.Fatal(err)
		}
		return schema.Validate(t, text)
	}
	if err := validate(); err != nil {
		t.Errorf("the sample: %v", err)
	}
	spec := object["spec"].(map[string]any) //nolint:forcetypeassert // The sample is valid.
	spec["destinations"] = "mistyped"
	if err := validate(); err == nil || !strings.Contains(err.Error(), "destinations") {
		t.Errorf("a field that is none: %v", err)
	}
	delete(spec, "destinations")
	object["apiVersion"] = "transfer.cargoship.dev/v1"
	if err := validate(); err == nil {
		t.Error("another version is valid")
	}
}
