package convert

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// The defaults of the schema are those of the core: what is measured is what ships.
func TestTheSchemaHasTheDefaultsOfTheCore(t *testing.T) {
	o := transferObject()
	o["spec"].(map[string]any)["coordination"] = map[string]any{}
	o["spec"].(map[string]any)["failurePolicy"] = map[string]any{}
	if err := newAdmission(t).admit(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var at v1alpha1.ArchiveTransfer
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o, &at); err != nil {
		t.Fatal(err)
	}
	shipped, want := Config(at.Spec.Fleet), protocol.DefaultConfig()
	if diff := cmp.Diff(want, shipped); diff != "" {
		t.Errorf("the schema's defaults differ from the core's (-core +schema):\n%s", diff)
	}
}
