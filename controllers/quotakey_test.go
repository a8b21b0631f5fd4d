package controllers_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// besides is how long a new leader may take: it learns for a lease of 30 s first.
const besides = 2 * time.Minute

// sharing is two transfers of two namespaces into buckets of one server, with a worker each.
type sharing struct {
	stages  [2]*stage
	workers [2]*puppet
	// most is the largest sum of windows that was granted, and of paces in bytes per second.
	most, bytes int64
	// epochs are the latest that leases have had.
	epochs [2]int64
	moves  int
}

// sharedArchives are those of each transfer, of which half end while policies change.
const sharedArchives = 100

const sharedEndpoint = "http://127.0.0.1:9/shared"

func makeSharing(ctx SpecContext) *sharing {
	GinkgoHelper()
	s := &sharing{}
	for i := range s.stages {
		s.stages[i] = makeStage(ctx, func(at *v1alpha1.ArchiveTransfer) { at.Spec.Destination.Endpoint = sharedEndpoint })
		s.workers[i] = s.stages[i].startPlanner(ctx, sharedArchives)
		s.workers[i].report(ctx) // of the plan, before there is another leader
	}
	return s
}

// policy makes a policy for the server, or one of the buckets.
func (s *sharing) policy(ctx SpecContext, name, bucket, quotaKey string, inFlight int32) *v1alpha1.CoordinationPolicy {
	GinkgoHelper()
	p := &v1alpha1.CoordinationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.CoordinationPolicySpec{
		Match: v1alpha1.DestinationMatch{Endpoint: sharedEndpoint, Bucket: bucket}, QuotaKey: quotaKey,
		Limits: []v1alpha1.DestinationLimit{{Name: "all", RequestsInFlight: &inFlight}},
	}}
	Expect(api.Create(ctx, p)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { _ = api.Delete(ctx, p) })
	return p
}

// move has both workers work on, and gives their windows. Whatever changes, no lease goes back to an
// earlier leader's grant.
func (s *sharing) move(ctx context.Context) (windows [2]int64) {
	GinkgoHelper()
	sum, paces := int64(0), int64(0)
	for i, w := range s.workers {
		lease := w.take(ctx)
		Expect(lease.Spec.Epoch).To(BeNumerically(">=", s.epochs[i]))
		s.epochs[i] = lease.Spec.Epoch
		for _, granted := range lease.Spec.Prefixes {
			windows[i] += int64(*granted.Window)
		}
		sum += windows[i]
		paces += lease.Spec.BytesPerSecond
		if s.moves%4 == 0 && len(w.ended) < sharedArchives/2 {
			w.finish(1)
		}
		w.report(ctx)
	}
	s.moves++
	s.most, s.bytes = max(s.most, sum), max(s.bytes, paces)
	return windows
}

// reach moves until the windows are these.
func (s *sharing) reach(ctx context.Context, photos, films int64) {
	GinkgoHelper()
	Eventually(func() [2]int64 { return s.move(ctx) }).WithTimeout(besides).Should(Equal([2]int64{photos, films}))
}

func (s *sharing) domains(ctx context.Context) (domains [2]string) {
	for i, at := range s.stages {
		domains[i] = ptr.Deref(at.transfer(ctx).Status.Coordination, v1alpha1.CoordinationStatus{}).Domain
	}
	return domains
}

// change edits a policy as an administrator does.
func change(ctx context.Context, p *v1alpha1.CoordinationPolicy, edit func(*v1alpha1.CoordinationPolicySpec)) {
	GinkgoHelper()
	Expect(api.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
	before := client.MergeFrom(p.DeepCopy())
	edit(&p.Spec)
	Expect(api.Patch(ctx, p, before)).To(Succeed())
}

var _ = Describe("A quota key", func() {
	It("has two buckets share limits by weight, also while it is changed", func(ctx SpecContext) {
		startManager()
		s := makeSharing(ctx)
		photos, films := s.stages[0].namespace, s.stages[1].namespace
		alone := [2]string{"127.0.0.1:9/shared/" + photos, "127.0.0.1:9/shared/" + films}
		p := s.policy(ctx, "account", "", "account", 8)
		change(ctx, p, func(spec *v1alpha1.CoordinationPolicySpec) {
			spec.Limits = append(spec.Limits, bytesLimit("link", "10M"))
			spec.Namespaces = []v1alpha1.NamespaceShare{{Name: photos, Weight: 3}, {Name: films, Weight: 1}}
		})
		s.reach(ctx, 6, 2)
		Expect(s.domains(ctx)).To(Equal([2]string{"quota:account", "quota:account"}))
		Eventually(func() []string {
			Expect(api.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
			return p.Status.ControlledTogether
		}).WithTimeout(besides).Should(ConsistOf(alone[0], alone[1]))
		s.most, s.bytes = 0, 0
		Eventually(func() int64 { s.move(ctx); return s.bytes }).WithTimeout(besides).Should(BeNumerically(">=", 9_800_000))

		By("renaming it")
		change(ctx, p, func(spec *v1alpha1.CoordinationPolicySpec) { spec.QuotaKey = "renamed" })
		Eventually(func() [2]string { s.move(ctx); return s.domains(ctx) }).WithTimeout(besides).Should(Equal([2]string{"quota:renamed", "quota:renamed"}))
		s.reach(ctx, 6, 2)
		Expect(s.most).To(BeNumerically("<=", 8), "more was granted than the limit")
		Expect(s.bytes).To(BeNumerically("<=", 10_200_000))

		By("taking one bucket out of it by a more specific policy")
		out := s.policy(ctx, "link", films, "link", 3)
		s.reach(ctx, 8, 3)
		Expect(s.domains(ctx)).To(Equal([2]string{"quota:renamed", "quota:link"}))

		By("having it join again")
		Expect(api.Delete(ctx, out)).To(Succeed())
		s.reach(ctx, 6, 2)

		By("removing it")
		change(ctx, p, func(spec *v1alpha1.CoordinationPolicySpec) { spec.QuotaKey = "" })
		s.reach(ctx, 8, 8)
		Expect(s.domains(ctx)).To(Equal(alone))

		By("ending, with every archive counted once")
		for i, at := range s.stages {
			work(ctx, at, sharedArchives, s.workers[i])
			finishTransfer(ctx, at, s.workers[i])
			progress := at.transfer(ctx).Status.Progress
			Expect(progress.ArchivesFinished).To(HaveValue(BeEquivalentTo(sharedArchives)))
			Expect(progress.Done.Files).To(HaveValue(BeEquivalentTo(10 * sharedArchives)))
		}
	}, SpecTimeout(10*time.Minute))

	It("whose policies say different things of the same is not ready in either, until they agree", func(ctx SpecContext) {
		startManager()
		s := &sharing{}
		one, other := s.policy(ctx, "one", "one", "disputed", 8), s.policy(ctx, "other", "other", "disputed", 4)
		for _, p := range []*v1alpha1.CoordinationPolicy{one, other} {
			Eventually(ready(ctx, p.Name)).Should(Equal("True/InForce"), "limits may differ")
			change(ctx, p, func(spec *v1alpha1.CoordinationPolicySpec) {
				spec.Namespaces = []v1alpha1.NamespaceShare{{Name: "team", Weight: *spec.Limits[0].RequestsInFlight}}
			})
		}
		for _, p := range []*v1alpha1.CoordinationPolicy{one, other} {
			Eventually(ready(ctx, p.Name)).Should(Equal("False/PoliciesContradict"))
		}
		change(ctx, other, func(spec *v1alpha1.CoordinationPolicySpec) { spec.Namespaces[0].Weight = 8 })
		for _, p := range []*v1alpha1.CoordinationPolicy{one, other} {
			Eventually(ready(ctx, p.Name)).Should(Equal("True/InForce"))
		}
	})
})
