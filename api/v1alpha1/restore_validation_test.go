package v1alpha1_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/api/v1alpha1"
)

// restore is a restore of a source into a claim, as YAML has them.
func restore(from, to string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	Expect(yaml.Unmarshal([]byte("{apiVersion: transfer.cargoship.dev/v1alpha1, kind: ArchiveRestore, metadata: {namespace: default, generateName: r-}, spec: {from: "+
		from+", to: "+to+"}}"), &u.Object)).To(Succeed())
	return u
}

const (
	fromTransfer = `{transferRef: {name: t}}`
	fromBucket   = `location: {bucket: archive, credentials: {secretName: s3}}`
	intoClaim    = `{persistentVolumeClaim: {claimName: c}}`
)

var _ = Describe("ArchiveRestore", func() {
	It("fills in the documented defaults, and can't be turned to something else", func(ctx SpecContext) {
		u := restore(fromTransfer, intoClaim)
		Expect(api.Create(ctx, u)).To(Succeed())
		ar := &v1alpha1.ArchiveRestore{}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(u), ar)).To(Succeed())
		Expect(ar.Spec.Conflicts).To(Equal(v1alpha1.ConflictFail))
		Expect(ar.Spec.Attributes).To(Equal(v1alpha1.AttributesBestEffort))
		Expect(ar.Spec.Workers.Count).To(Equal(int32(3)))
		for _, change := range []func(*v1alpha1.ArchiveRestoreSpec){
			func(s *v1alpha1.ArchiveRestoreSpec) { s.From.TransferRef.Name = "other" },
			func(s *v1alpha1.ArchiveRestoreSpec) { s.To.Path = "elsewhere" },
			func(s *v1alpha1.ArchiveRestoreSpec) { s.Conflicts = v1alpha1.ConflictReplace },
			func(s *v1alpha1.ArchiveRestoreSpec) { s.To.RoomCheck = v1alpha1.RoomCheckSkip },
			func(s *v1alpha1.ArchiveRestoreSpec) { s.Attributes = v1alpha1.AttributesRequired },
		} {
			changed := ar.DeepCopy()
			change(&changed.Spec)
			err := api.Update(ctx, changed)
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "got %v", err)
			Expect(err.Error()).To(ContainSubstring("create another ArchiveRestore"))
		}
		ar.Spec.Workers.Count = 5
		Expect(api.Update(ctx, ar)).To(Succeed())
	})

	DescribeTable("admits", func(ctx SpecContext, from, to string) {
		Expect(api.Create(ctx, restore(from, to))).To(Succeed())
	},
		Entry("the latest run of a bucket", "{"+fromBucket+"}", intoClaim),
		Entry("a run by its ID", "{"+fromBucket+", run: {id: photos@2026-07-01T00:00:00Z}}", intoClaim),
		Entry("a run by a time", `{`+fromBucket+`, run: {before: "2026-07-01T00:00:00Z"}}`, intoClaim),
		Entry("a thaw", fromTransfer, intoClaim+`, thaw: {tier: Bulk, days: 3, maxCost: "12.50"}`),
		Entry("a populator", fromTransfer, `{populator: {}}`),
		Entry("a populator, into a directory", fromTransfer, `{populator: {}, path: a}`),
		Entry("a selection, into a directory", `{transferRef: {name: t}, include: ["a/**"], exclude: ["*.tmp"]}`, `{persistentVolumeClaim: {claimName: c}, path: a/b}`),
	)

	DescribeTable("rejects, and says what to write instead", func(ctx SpecContext, from, to, message string) {
		err := api.Create(ctx, restore(from, to))
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "got %v", err)
		Expect(err.Error()).To(ContainSubstring(message))
	},
		Entry("no source", `{}`, intoClaim, "exactly one of the fields in [transferRef location]"),
		Entry("two sources", "{transferRef: {name: t}, "+fromBucket+"}", intoClaim, "exactly one of the fields in [transferRef location]"),
		Entry("a run of a transfer", `{transferRef: {name: t}, run: {id: x}}`, intoClaim, "run requires location"),
		Entry("a run by ID and time", "{"+fromBucket+`, run: {id: x, before: "2026-07-01T00:00:00Z"}}`, intoClaim, "exactly one of the fields in [id before]"),
		Entry("a thaw without a ceiling", fromTransfer, intoClaim+`, thaw: {tier: Bulk}`, "maxCost"),
		Entry("a thaw that costs less than nothing", fromTransfer, intoClaim+`, thaw: {maxCost: "-1"}`, "must be an amount of USD"),
		Entry("a thaw for no day", fromTransfer, intoClaim+`, thaw: {days: 0, maxCost: 1}`, "days"),
		Entry("a tier that there is not", fromTransfer, intoClaim+`, thaw: {tier: Soon, maxCost: 1}`, "Expedited"),
		Entry("no claim", fromTransfer, `{path: a}`, "persistentVolumeClaim"),
		Entry("a claim and a populator", fromTransfer, `{persistentVolumeClaim: {claimName: c}, populator: {}}`, "exactly one of the fields in [persistentVolumeClaim populator]"),
		Entry("a path out of the volume", fromTransfer, `{persistentVolumeClaim: {claimName: c}, path: a/../..}`, "no '..'"),
		Entry("an absolute path", fromTransfer, `{persistentVolumeClaim: {claimName: c}, path: /a}`, "relative to the volume"),
		Entry("a bucket without credentials", `{location: {bucket: archive}}`, intoClaim, "credentials"),
		Entry("a name of a bucket that is none", `{location: {bucket: "Bad_Name", credentials: {secretName: s3}}}`, intoClaim, "must be a bucket name"),
	)
})
