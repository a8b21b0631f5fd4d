package controllers_test

import (
	"bytes"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi"

	"cargoship.dev/operator/internal/schema"
)

// olderAPI is the served API with a field by another name.
type olderAPI struct {
	openapi.Client
	field string
}

type olderGroup struct {
	openapi.GroupVersion
	field string
}

func (a olderAPI) Paths() (map[string]openapi.GroupVersion, error) {
	paths, err := a.Client.Paths()
	for name, group := range paths {
		paths[name] = olderGroup{group, a.field}
	}
	return paths, err
}

func (g olderGroup) Schema(contentType string) ([]byte, error) {
	text, err := g.GroupVersion.Schema(contentType)
	return bytes.ReplaceAll(text, []byte(`"`+g.field+`":`), []byte(`"another":`)), err
}

var _ = Describe("The CRDs of the cluster", func() {
	It("are compared with what the manager writes", func(ctx SpecContext) {
		client, err := discovery.NewDiscoveryClientForConfig(restConfig)
		Expect(err).NotTo(HaveOccurred())
		Expect(schema.Await(ctx, client.OpenAPIV3())).To(Succeed())
		Expect(schema.Check(olderAPI{client.OpenAPIV3(), "milliRequestsPerSecond"})).
			To(MatchError(ContainSubstring("PrefixLease.spec.prefixes.milliRequestsPerSecond")))
	})
})
