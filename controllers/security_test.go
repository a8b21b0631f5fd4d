package controllers_test

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/api/v1alpha1"
)

// examples are the objects that the page on security shows.
func examples() map[string]*unstructured.Unstructured {
	GinkgoHelper()
	page, err := os.ReadFile("../docs/security.md")
	Expect(err).NotTo(HaveOccurred())
	objects := map[string]*unstructured.Unstructured{}
	blocks := strings.Split(string(page), "```yaml\n")
	for _, block := range blocks[1:] {
		text, _, _ := strings.Cut(block, "```")
		u := &unstructured.Unstructured{}
		Expect(yaml.Unmarshal([]byte(text), &u.Object)).To(Succeed())
		objects[u.GetKind()] = u
	}
	return objects
}

var _ = Describe("The page on security", func() {
	It("shows a policy that the API server takes, and a quota that bounds transfers", func(ctx SpecContext) {
		s := makeEmptyStage(ctx)
		objects := examples()
		Expect(objects).To(HaveLen(2))
		policy := objects["NetworkPolicy"]
		policy.SetNamespace(s.namespace)
		Expect(api.Create(ctx, policy)).To(Succeed())

		quota := objects["ResourceQuota"]
		quota.SetNamespace(s.namespace)
		const counted = "count/archivetransfers.transfer.cargoship.dev"
		Expect(unstructured.SetNestedField(quota.Object, "1", "spec", "hard", counted)).To(Succeed())
		Expect(api.Create(ctx, quota)).To(Succeed())
		// As the quota controller does.
		typed := &corev1.ResourceQuota{}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(quota), typed)).To(Succeed())
		typed.Status = corev1.ResourceQuotaStatus{Hard: typed.Spec.Hard, Used: corev1.ResourceList{counted: quantity("0")}}
		Expect(api.Status().Update(ctx, typed)).To(Succeed())
		s.createTransfer(ctx, nil)
		another := &v1alpha1.ArchiveTransfer{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, GenerateName: "t-"}, Spec: s.transfer(ctx).Spec}
		Eventually(func() error { return api.Create(ctx, another.DeepCopy()) }).Should(MatchError(ContainSubstring("exceeded quota")))
	})
})

var _ = Describe("The pods of a transfer", func() {
	It("are taken in a namespace that enforces pod security restricted", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, nil)
		a := s.startPlanner(ctx, 1)
		work(ctx, s, 1, a)
		a.end(ctx, corev1.PodSucceeded)
		s.completeJob(ctx, "-workers")
		s.awaitJob(ctx, "-finish")

		ns := &corev1.Namespace{}
		Expect(api.Get(ctx, client.ObjectKey{Name: s.namespace}, ns)).To(Succeed())
		ns.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
		Expect(api.Update(ctx, ns)).To(Succeed())
		create := func(suffix string, change func(*corev1.PodSpec)) error {
			template := s.awaitJob(ctx, suffix).Spec.Template
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, GenerateName: "pod-"}, Spec: template.Spec}
			if change != nil {
				change(&pod.Spec)
			}
			return api.Create(ctx, pod, client.DryRunAll)
		}
		Eventually(func() error { return create("-workers", func(p *corev1.PodSpec) { p.SecurityContext = nil }) }).
			Should(MatchError(ContainSubstring("violates PodSecurity")))
		Expect(create("-workers", nil)).To(Succeed())
		Expect(create("-finish", nil)).To(Succeed())
	})
})
