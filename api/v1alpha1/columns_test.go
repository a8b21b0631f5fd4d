package v1alpha1_test

import (
	"context"
	"encoding/json"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"cargoship.dev/operator/api/v1alpha1"
)

// columns is what `kubectl get -o wide` shows of an object, by the names of the columns.
func columns(ctx context.Context, resource string, o *unstructured.Unstructured) map[string]any {
	GinkgoHelper()
	web, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	body, err := web.RESTClient().Get().AbsPath("apis", v1alpha1.GroupVersion.String(), "namespaces", o.GetNamespace(), resource, o.GetName()).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(ctx)
	Expect(err).NotTo(HaveOccurred())
	var table metav1.Table
	Expect(json.Unmarshal(body, &table)).To(Succeed())
	Expect(table.Rows).To(HaveLen(1))
	cells := map[string]any{}
	for i, column := range table.ColumnDefinitions {
		cells[column.Name] = table.Rows[0].Cells[i]
	}
	return cells
}

// A column of the type date tells how long ago something was, and of what is yet to come that it is invalid.
var _ = DescribeTable("The columns of what runs say when it will end",
	func(ctx SpecContext, resource string, running func() *unstructured.Unstructured) {
		o := running()
		Expect(api.Create(ctx, o)).To(Succeed())
		end := time.Now().Add(10 * time.Minute).UTC().Format(time.RFC3339)
		Expect(unstructured.SetNestedField(o.Object, end, "status", "estimatedCompletionTime")).To(Succeed())
		Expect(api.Status().Update(ctx, o)).To(Succeed())
		cells := columns(ctx, resource, o)
		Expect(cells).To(HaveKeyWithValue("ETA", end))
		Expect(cells).NotTo(ContainElement("<invalid>"))
	},
	Entry("of a transfer", "archivetransfers", func() *unstructured.Unstructured { return manifest(nil) }),
	Entry("of a restore", "archiverestores", func() *unstructured.Unstructured { return restore(fromTransfer, intoClaim) }),
)
