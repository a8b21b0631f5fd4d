package controllers_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// reject has the API server reject writes to a resource that match a CEL expression, and
// gives what ends that.
func reject(ctx context.Context, resource, when string) (end func()) {
	GinkgoHelper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "reject-"},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: ptr.To(admissionv1.Fail),
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
				Rule:       admissionv1.Rule{APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{resource}},
			}}}},
			Validations: []admissionv1.Validation{{Expression: "!(" + when + ")", Message: "the test rejects it", Reason: ptr.To(metav1.StatusReasonInvalid)}},
		},
	}
	Expect(api.Create(ctx, policy)).To(Succeed())
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}
	Expect(api.Create(ctx, binding)).To(Succeed())
	end = func() { Expect(client.IgnoreNotFound(api.Delete(context.Background(), binding))).To(Succeed()) }
	DeferCleanup(func() { end() })
	return end
}

// awaitRefusal waits until a policy is in force, which the API server takes up in a while.
func awaitRefusal(ctx context.Context, o client.Object, status string) {
	GinkgoHelper()
	Eventually(func() error {
		return api.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(status)), client.DryRunAll)
	}).Should(MatchError(apierrors.IsInvalid, "IsInvalid"))
}

// message is that of a condition of the transfer.
func (s *stage) message(ctx context.Context, kind string) string {
	GinkgoHelper()
	c := meta.FindStatusCondition(s.transfer(ctx).Status.Conditions, kind)
	Expect(c).NotTo(BeNil())
	return c.Message
}

// worksOn reports until the transfer has a plan of n archives and has finished them.
func (s *stage) worksOn(ctx context.Context, p *puppet, n int64) {
	GinkgoHelper()
	p.report(ctx)
	p.plans(n, "Complete")
	work(ctx, s, n, p)
}

var _ = Describe("One object that is malformed", func() {
	It("has its own transfer held, with the core's words, and no other", func(ctx SpecContext) {
		stop := startManager()
		s1 := makeStage(ctx, nil)
		s2 := makeStage(ctx, intoBucketOf(s1))
		p1, p2 := s1.startPuppet(ctx, "w-a"), s2.startPuppet(ctx, "w-a")
		stop()
		edit := func(finished string) {
			patch := fmt.Sprintf(`{"status":{"prefixes":[{"name":"a","archives":4,"finishedArchives":%q,"planned":{"files":40,"bytes":4000}}]}}`, finished)
			Expect(api.Status().Patch(ctx, s2.transfer(ctx), client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
		}
		edit("9-1,nonsense")

		startManager()
		s1.worksOn(ctx, p1, 4)
		Eventually(s2.condition(ctx, v1alpha1.ConditionProgressing)).Should(Equal("False/" + v1alpha1.ReasonInvalidCoordination))
		Expect(s2.message(ctx, v1alpha1.ConditionProgressing)).To(ContainSubstring("status.prefixes[a]"))
		Eventually(s2.condition(ctx, v1alpha1.ConditionDegraded)).Should(Equal("True/" + v1alpha1.ReasonCoordinationParked))
		Eventually(warnings(ctx, s2)).Should(ContainElement(v1alpha1.ReasonCoordinationParked))
		Expect(s2.transfer(ctx).Status.Prefixes).To(HaveLen(1), "what had been recorded is gone")

		By("repairing it")
		edit("")
		p2.report(ctx)
		Eventually(s2.condition(ctx, v1alpha1.ConditionProgressing)).WithTimeout(time.Minute).Should(HavePrefix("True/"))
		s2.worksOn(ctx, p2, 4)
		Eventually(s2.condition(ctx, v1alpha1.ConditionDegraded)).Should(Equal("False/" + v1alpha1.ReasonHealthy))
	})

	It("is a status that the API server rejects: grants of others go on, and its own when it is taken", func(ctx SpecContext) {
		startManager()
		s1 := makeStage(ctx, nil)
		s2 := makeStage(ctx, intoBucketOf(s1))
		p1, p2 := s1.startPuppet(ctx, "w-a"), s2.startPuppet(ctx, "w-a")
		end := reject(ctx, "archivetransfers/status", fmt.Sprintf(
			"object.metadata.namespace == '%s' && has(object.status.prefixes) && object.status.prefixes.exists(p, p.archives >= 4)", s2.namespace))
		awaitRefusal(ctx, s2.transfer(ctx), `{"status":{"prefixes":[{"name":"a","archives":4}]}}`)
		p2.report(ctx)
		p2.plans(4, "Complete")
		Eventually(func() string { p2.report(ctx); return s2.condition(ctx, v1alpha1.ConditionDegraded)() }).
			WithPolling(500 * time.Millisecond).Should(Equal("True/" + v1alpha1.ReasonCoordinationParked))
		Expect(s2.message(ctx, v1alpha1.ConditionDegraded)).To(ContainSubstring("the test rejects it"))
		s1.worksOn(ctx, p1, 6)
		Expect(finishedArchives(ctx, s2)).To(BeZero())

		end()
		Eventually(func() int64 {
			p2.take(ctx)
			p2.finish(2)
			p2.report(ctx)
			return finishedArchives(ctx, s2)
		}).WithPolling(500 * time.Millisecond).WithTimeout(90 * time.Second).Should(Equal(int64(4)))
		Expect(*s2.transfer(ctx).Status.Progress.Done.Files).To(Equal(int64(40)))
	})
})

var _ = Describe("The profile of a destination", func() {
	profileOf := func(ctx context.Context, s *stage) func() (*v1alpha1.DestinationProfile, error) {
		name := convert.ProfileName(convert.Domain(s.transfer(ctx).Spec.Destination.Location))
		return func() (*v1alpha1.DestinationProfile, error) {
			p := &v1alpha1.DestinationProfile{}
			return p, api.Get(ctx, client.ObjectKey{Name: name}, p)
		}
	}

	It("is an object of its own that the next leader begins with, whatever somebody has made of it", func(ctx SpecContext) {
		stop := startManager()
		s := makeStage(ctx, nil)
		p := s.startPuppet(ctx, "w-a")
		p.report(ctx)
		p.plans(6, "Complete")
		work(ctx, s, 3, p)
		Eventually(profileOf(ctx, s)).Should(HaveField("Status.Snapshot", Not(BeEmpty())))
		profile, err := profileOf(ctx, s)()
		Expect(err).NotTo(HaveOccurred())
		Expect(profile.Spec.Domain).To(Equal("127.0.0.1:9/" + s.namespace))
		snapshot, err := protocol.DecodeSnapshot([]byte(profile.Status.Snapshot))
		Expect(err).NotTo(HaveOccurred())
		Expect(snapshot.Path.Window).To(Equal(int(*profile.Status.Window)))
		stop()

		patch := `{"status":{"snapshot":"{\"version\":1,","epoch":9007199254740992}}`
		Expect(api.Status().Patch(ctx, profile, client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
		startManager()
		work(ctx, s, 6, p)
		Eventually(func(g Gomega) {
			profile, err := profileOf(ctx, s)()
			g.Expect(err).NotTo(HaveOccurred())
			_, err = protocol.DecodeSnapshot([]byte(profile.Status.Snapshot))
			g.Expect(err).NotTo(HaveOccurred(), "it was not written again")
		}).Should(Succeed())
	})

	It("stops no grant when the API server rejects it", func(ctx SpecContext) {
		reject(ctx, "destinationprofiles/status", "true")
		probe := &v1alpha1.DestinationProfile{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: v1alpha1.DestinationProfileSpec{Domain: "probe"}}
		Expect(api.Create(ctx, probe)).To(Succeed())
		awaitRefusal(ctx, probe, `{"status":{"epoch":1}}`)
		startManager()
		s := makeStage(ctx, nil)
		p := s.startPuppet(ctx, "w-a")
		s.worksOn(ctx, p, 4)
		Expect(profileOf(ctx, s)()).To(HaveField("Status.Snapshot", BeEmpty()))
	})
})
