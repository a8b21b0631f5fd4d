package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"cargoship.dev/operator/api/v1alpha1"
)

var _ = Describe("What the cache does not hold of a transfer", func() {
	It("is in its Jobs all the same", func(ctx SpecContext) {
		startManager()
		s := makeStage(ctx, func(at *v1alpha1.ArchiveTransfer) {
			at.Spec.Workers.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{
					Weight: 1, Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{
						Key: "disk", Operator: corev1.NodeSelectorOpExists}}}}}}}
		})
		pod := s.awaitJob(ctx, "-workers").Spec.Template.Spec
		Expect(pod.Affinity).To(Equal(s.transfer(ctx).Spec.Workers.Affinity))
		Expect(pod.TopologySpreadConstraints).To(BeEmpty(), "the workers are spread although their affinity is given")
	})
})
