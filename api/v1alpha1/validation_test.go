package v1alpha1_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/api/v1alpha1"
)

const valid = `
apiVersion: transfer.cargoship.dev/v1alpha1
kind: ArchiveTransfer
metadata: {namespace: default, generateName: t-}
spec:
  source: {persistentVolumeClaim: {claimName: data}}
  destination:
    bucket: archive
    credentials: {secretName: s3}
`

// manifest is the valid transfer with one field set to a YAML value; a nil
// value removes the field.
func manifest(value any, path ...string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	Expect(yaml.Unmarshal([]byte(valid), &u.Object)).To(Succeed())
	switch {
	case len(path) == 0:
	case value == nil:
		unstructured.RemoveNestedField(u.Object, path...)
	default:
		var decoded any
		Expect(yaml.Unmarshal([]byte(fmt.Sprint(value)), &decoded)).To(Succeed())
		if n, whole := decoded.(float64); whole && n == float64(int64(n)) {
			decoded = int64(n)
		}
		Expect(unstructured.SetNestedField(u.Object, decoded, path...)).To(Succeed())
	}
	return u
}

var _ = Describe("ArchiveTransfer", func() {
	It("fills in the documented defaults", func(ctx SpecContext) {
		u := manifest(nil)
		Expect(api.Create(ctx, u)).To(Succeed())
		at := &v1alpha1.ArchiveTransfer{}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(u), at)).To(Succeed())
		c := at.Spec.Coordination
		Expect([]int32{c.PipelineDepth, c.GlobalCongestionWindow, c.SlowStartThreshold, c.MaxActivePrefixes}).
			To(Equal([]int32{16, 32, 16, 16}))
		Expect(c.UpdateInterval.Duration).To(Equal(2 * time.Second))
		Expect(c.Adaptive).To(Equal(v1alpha1.AdaptiveParameters{
			LearningRatePercent: 10, BandwidthProbingRatePercent: 5,
			CongestionSensitivityPercent: ptr.To(int32(80)), RecoveryAggressivenessPercent: 120,
		}))
		Expect(c.Uncoordinated).To(Equal(v1alpha1.FixedWindows{MaxPrefixes: 4, MaxConcurrentUploads: 3}))
		Expect(at.Spec.Workers.Count).To(Equal(int32(3)))
		Expect(at.Spec.Packing.Format).To(Equal(v1alpha1.PackingObjects))
		Expect(at.Spec.Destination.Prefixes.Pattern).To(BeEmpty(), "it follows from the packing")
		Expect(at.Spec.FailurePolicy.OnFailure).To(Equal(v1alpha1.FailureContinue))
	})

	It("fills in the defaults of packing Tar", func(ctx SpecContext) {
		u := manifest(`{format: Tar, tar: {}}`, "spec", "packing")
		Expect(api.Create(ctx, u)).To(Succeed())
		at := &v1alpha1.ArchiveTransfer{}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(u), at)).To(Succeed())
		t := at.Spec.Packing.Tar
		Expect([]string{t.TargetSize.String(), t.LargeFileThreshold.String()}).To(Equal([]string{"1Gi", "64Mi"}))
		Expect(t.Compression).To(Equal(v1alpha1.CompressionZstd))
	})

	It("has no tar with prefix pattern Mirror", func(ctx SpecContext) {
		u := manifest(`{format: Tar}`, "spec", "packing")
		Expect(unstructured.SetNestedField(u.Object, "Mirror", "spec", "destination", "prefixes", "pattern")).To(Succeed())
		Expect(api.Create(ctx, u)).To(MatchError(ContainSubstring("use Hash or Explicit with packing Tar")))
	})

	DescribeTable("is refused, naming the field and the rule",
		func(ctx SpecContext, value any, path []string, wantField, wantRule string) {
			err := api.Create(ctx, manifest(value, path...))
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "got %v", err)
			Expect(err.Error()).To(ContainSubstring(wantField))
			Expect(err.Error()).To(ContainSubstring(wantRule))
		},
		Entry("tar without its format", `{format: Objects, tar: {}}`, at("spec.packing"), "spec.packing", "requires format Tar"),
		Entry("a level of nothing", `{format: Tar, tar: {compression: None, level: 3}}`, at("spec.packing"),
			"spec.packing.tar", "level requires compression Zstd"),
		Entry("tiny archives", `{format: Tar, tar: {targetSize: 100Ki}}`, at("spec.packing"),
			"spec.packing.tar.targetSize", "between 1Mi and 64Gi"),
		Entry("no quantity", `{format: Tar, tar: {largeFileThreshold: many}}`, at("spec.packing"),
			"spec.packing.tar.largeFileThreshold", "must be a quantity"),
		Entry("no prefixes", `{pattern: Hash, count: 0}`, at("spec.destination.prefixes"),
			"spec.destination.prefixes.count", "greater than or equal to 1"),
		Entry("an unknown strategy", "Reckless", at("spec.coordination.strategy"),
			"spec.coordination.strategy", `supported values: "TCPLike", "FairShare", "Adaptive"`),
		Entry("a budget without a figure", `{months: 6}`, at("spec.budget"), "spec.budget", "maxCost"),
		Entry("a budget of less than nothing", `{maxCost: "-1"}`, at("spec.budget"), "spec.budget", "must be an amount of USD"),
		Entry("a budget for no month", `{maxCost: 1, months: 0}`, at("spec.budget"), "spec.budget", "months"),
		Entry("a budget of words", `{maxCost: little}`, at("spec.budget"), "spec.budget", "must be an amount of USD"),
		Entry("two sources", `{persistentVolumeClaim: {claimName: a}, hostPath: {path: /a}}`, at("spec.source"),
			"spec.source", "exactly one of the fields"),
		Entry("no source", `{path: a}`, at("spec.source"),
			"spec.source", "exactly one of the fields"),
		Entry("two kinds of credentials", `{secretName: a, podIdentity: {serviceAccountName: b}}`, at("spec.destination.credentials"),
			"spec.destination.credentials", "exactly one of the fields"),
		Entry("no credentials", nil, at("spec.destination.credentials"),
			"spec.destination.credentials", "Required value"),
		Entry("a pipeline without end", 100000, at("spec.coordination.pipelineDepth"),
			"spec.coordination.pipelineDepth", "less than or equal to 64"),
		Entry("an absolute base prefix", "/backups", at("spec.destination.prefix"),
			"spec.destination.prefix", "must not begin with '/'"),
		Entry("a base prefix that climbs", "a/../b", at("spec.destination.prefix"),
			"spec.destination.prefix", "'..'"),
		Entry("a source path that climbs", "{persistentVolumeClaim: {claimName: a}, path: ../b}", at("spec.source"),
			"spec.source.path", "no '..'"),
		Entry("an endpoint that is no URL", "s3.example.com", at("spec.destination.endpoint"),
			"spec.destination.endpoint", "http:// or https:// URL"),
		Entry("a bucket in capitals", "Archive", at("spec.destination.bucket"),
			"spec.destination.bucket", "lower-case"),
		Entry("names without Explicit", `{pattern: Hash, names: [a]}`, at("spec.destination.prefixes"),
			"spec.destination.prefixes", "forbidden otherwise"),
		Entry("Explicit without names", `{pattern: Explicit}`, at("spec.destination.prefixes"),
			"spec.destination.prefixes", "names are required"),
		Entry("a key for the wrong algorithm", `{algorithm: AES256, kmsKeyID: k}`, at("spec.destination.serverSideEncryption"),
			"spec.destination.serverSideEncryption", "requires algorithm aws:kms"),
		Entry("a frantic update interval", "1ms", at("spec.coordination.updateInterval"),
			"spec.coordination.updateInterval", "between 500ms and 1m"),
		Entry("no weight", 0, at("spec.weight"), "spec.weight", "greater than or equal to 1"),
		Entry("a name with dots, which no pod can have as host name", "a.b", at("metadata.name"),
			"metadata.name", "must not contain '.'"),
		Entry("an endpoint with a password", "https://key:hunter2@s3.example.com", at("spec.destination.endpoint"),
			"spec.destination.endpoint", "without user, password, query or fragment"),
		Entry("an endpoint with a key", "https://key@s3.example.com", at("spec.destination.endpoint"),
			"spec.destination.endpoint", "without user, password, query or fragment"),
		Entry("an endpoint with a query", `"https://s3.example.com/?token=x"`, at("spec.destination.endpoint"),
			"spec.destination.endpoint", "without user, password, query or fragment"),
		Entry("an endpoint with a fragment", `"https://s3.example.com#x"`, at("spec.destination.endpoint"),
			"spec.destination.endpoint", "without user, password, query or fragment"),
		Entry("an endpoint that climbs", "https://s3.example.com/a/../b", at("spec.destination.endpoint"),
			"spec.destination.endpoint", "'..'"),
		Entry("a claim's name that no claim can have", "My_Claim", at("spec.source.persistentVolumeClaim.claimName"),
			"claimName", "name of a Kubernetes object"),
		Entry("a Secret's name that no Secret can have", "s3/keys", at("spec.destination.credentials.secretName"),
			"secretName", "name of a Kubernetes object"),
		Entry("an account's name that no account can have", `{podIdentity: {serviceAccountName: "-a"}}`, at("spec.destination.credentials"),
			"serviceAccountName", "name of a Kubernetes object"),
		Entry("a ConfigMap's name that no ConfigMap can have", `{configMapName: "a..b"}`, at("spec.destination.caBundle"),
			"configMapName", "name of a Kubernetes object"),
		Entry("a key that no ConfigMap can have", `{configMapName: a, key: ../ca.crt}`, at("spec.destination.caBundle"),
			"caBundle.key", "key of a ConfigMap"),
		Entry("a priority class that can't be", "High!", at("spec.workers.priorityClassName"),
			"priorityClassName", "name of a Kubernetes object"),
		Entry("a runtime class that can't be", "kata_fc", at("spec.workers.runtimeClassName"),
			"runtimeClassName", "name of a Kubernetes object"),
		Entry("a pull secret that can't be", `[{name: Registry}]`, at("spec.workers.imagePullSecrets"),
			"imagePullSecrets", "name of a Kubernetes object"),
		Entry("an image with a space", `"worker: latest"`, at("spec.workers.image"), "spec.workers.image", "without spaces"),
		Entry("a label too long", `{a: a123456789b123456789c123456789d123456789e123456789f123456789g123}`, at("spec.workers.labels"),
			"spec.workers.labels", "63"),
		Entry("a label with a space", `{a: "b c"}`, at("spec.workers.jobLabels"), "spec.workers.jobLabels", "value of a label"),
		Entry("a label's key that no label can have", `{"a b": c}`, at("spec.workers.labels"), "spec.workers.labels", "keys must be those of Kubernetes"),
		Entry("a node's label that no node can have", `{"-a": b}`, at("spec.workers.nodeSelector"), "spec.workers.nodeSelector", "keys must be those of Kubernetes"),
		Entry("a large annotation", `{a: `+strings.Repeat("x", 16385)+`}`, at("spec.workers.annotations"), "spec.workers.annotations", "16384"),
		Entry("large annotations together", `{a: `+strings.Repeat("x", 9000)+`, b: `+strings.Repeat("x", 9000)+`}`, at("spec.workers.annotations"),
			"spec.workers.annotations", "at most 16384 characters"),
		Entry("an annotation's key that can't be", `{"a/b/c": d}`, at("spec.workers.annotations"), "spec.workers.annotations", "keys must be those of Kubernetes"),
		Entry("a large toleration", `[{key: a, value: `+strings.Repeat("x", 100)+`}]`, at("spec.workers.tolerations"), "spec.workers.tolerations", "values 63"),
		Entry("a toleration of an unknown effect", `[{key: a, operator: Exists, effect: Sometimes}]`, at("spec.workers.tolerations"),
			"spec.workers.tolerations", "effect must be"),
		Entry("a toleration of any value with one", `[{key: a, operator: Exists, value: b}]`, at("spec.workers.tolerations"),
			"spec.workers.tolerations", "value must be absent"),
		Entry("a resource that no container has", `{limits: {memory: 1Gi, discs: 3}}`, at("spec.workers.resources"),
			"spec.workers.resources.limits", "must name resources of a container"),
		Entry("a quantity of many digits", `{requests: {memory: "1`+strings.Repeat("0", 40)+`"}}`, at("spec.workers.resources"),
			"spec.workers.resources.requests", "at most 32 characters"),
		Entry("a negative quantity", `{requests: {cpu: -1}}`, at("spec.workers.resources"), "spec.workers.resources.requests", "must not be negative"),
		Entry("a negative quantity with a unit", `{limits: {memory: -1Gi}}`, at("spec.workers.resources"), "spec.workers.resources.limits", "must not be negative"),
		Entry("requests above limits", `{requests: {memory: 2Gi}, limits: {memory: 1025Mi}}`, at("spec.workers.resources"),
			"spec.workers.resources", "requests must not exceed limits"),
		Entry("a name too long for its Job", "a123456789b123456789c123456789d123456789e123456789f", at("metadata.name"),
			"metadata.name", "at most 50 characters"),
	)

	DescribeTable("can't be changed once it is there",
		func(ctx SpecContext, value any, path []string, wantRule string) {
			u := manifest(nil)
			Expect(api.Create(ctx, u)).To(Succeed())
			changed := manifest(value, path...)
			patch := &unstructured.Unstructured{Object: map[string]any{"spec": changed.Object["spec"]}}
			patch.SetGroupVersionKind(u.GroupVersionKind())
			patch.SetName(u.GetName())
			patch.SetNamespace(u.GetNamespace())
			data, err := patch.MarshalJSON()
			Expect(err).NotTo(HaveOccurred())
			err = api.Patch(ctx, patch, client.RawPatch("application/merge-patch+json", data))
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "got %v", err)
			Expect(err.Error()).To(ContainSubstring(wantRule))
		},
		Entry("source", "{persistentVolumeClaim: {claimName: other}}", at("spec.source"), "the source of a transfer can't be changed"),
		Entry("destination", "another", at("spec.destination.bucket"), "the destination of a transfer can't be changed"),
	)

	DescribeTable("is admitted", func(ctx SpecContext, value any, path []string) {
		Expect(api.Create(ctx, manifest(value, path...))).To(Succeed())
	},
		Entry("with a budget", `{maxCost: "12.50", months: 24}`, at("spec.budget")),
		Entry("with labels of a domain", `{example.com/team: data, tier: ""}`, at("spec.workers.labels")),
		Entry("with annotations of any text", `{example.com/note: "any text: at all, {}"}`, at("spec.workers.annotations")),
		Entry("with tolerations", `[{operator: Exists}, {key: example.com/gpu, value: a, effect: NoExecute, tolerationSeconds: 30}]`, at("spec.workers.tolerations")),
		Entry("with resources", `{requests: {cpu: 1, memory: 1Gi}, limits: {memory: 2Gi, example.com/nic: 1, hugepages-2Mi: 4Mi}}`, at("spec.workers.resources")),
		Entry("with an image by digest", `registry.example.com:5000/a/b@sha256:0123`, at("spec.workers.image")),
		Entry("with an endpoint in a cluster", "http://minio.storage.svc:9000", at("spec.destination.endpoint")),
		Entry("with an endpoint below a path", "https://example.com/api/s3/", at("spec.destination.endpoint")),
		Entry("with an endpoint by address", `"https://[2001:db8::1]:9000"`, at("spec.destination.endpoint")),
		Entry("with the node's role", `{podIdentity: {serviceAccountName: a.b, instanceMetadata: Allowed}}`, at("spec.destination.credentials")),
		Entry("with a claim that has dots", "data.of-a.b1", at("spec.source.persistentVolumeClaim.claimName")),
		Entry("with nothing selected", `{onNothingSelected: Complete}`, at("spec.failurePolicy")),
	)

	It("lets workers, weight and suspend change", func(ctx SpecContext) {
		u := manifest(nil)
		Expect(api.Create(ctx, u)).To(Succeed())
		at := &v1alpha1.ArchiveTransfer{}
		Expect(api.Get(ctx, client.ObjectKeyFromObject(u), at)).To(Succeed())
		at.Spec.Workers.Count, at.Spec.Weight, at.Spec.Suspend = 7, 300, ptr.To(true)
		Expect(api.Update(ctx, at)).To(Succeed())
	})
})

var _ = Describe("PrefixLease", func() {
	lease := func() *v1alpha1.PrefixLease {
		return &v1alpha1.PrefixLease{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "l-"},
			Spec: v1alpha1.PrefixLeaseSpec{
				TransferName: "t", PodUID: "u", Epoch: 1, Sequence: 1, Mode: v1alpha1.LeaseActive,
				LeaseDuration: metav1.Duration{Duration: 20 * time.Second}, ReportInterval: metav1.Duration{Duration: 2 * time.Second},
			},
		}
	}

	It("stays under 13 kB with 16 prefixes, 96 archives and a full report", func(ctx SpecContext) {
		l := lease()
		for p := range 16 {
			grant := v1alpha1.PrefixGrant{Name: fmt.Sprintf("prefix-%02d", p), Window: ptr.To(int32(64)), MilliRequestsPerSecond: ptr.To(int64(1234567))}
			report := v1alpha1.PrefixReport{Name: grant.Name, Started: ptr.To(int64(1e9)), Accepted: ptr.To(int64(1e9)),
				Throttled: ptr.To(int64(1e6)), Failed: ptr.To(int64(1e6)), Bytes: ptr.To(int64(1e15)), BusyMicroseconds: ptr.To(int64(1e15)),
				MaxInFlight: ptr.To(int32(64)), AttemptP50Microseconds: ptr.To(int64(123456)), ServiceP50Microseconds: ptr.To(int64(123456)),
				ServiceP99Microseconds: ptr.To(int64(1234567)), LimitedBy: v1alpha1.LimitedBySource}
			for n := range int64(2) {
				report.Samples = append(report.Samples, v1alpha1.RequestSample{Epoch: ptr.To(int64(1)), Sequence: ptr.To(12345 - n),
					Started: ptr.To(int64(100_000)), Accepted: ptr.To(int64(100_000)), Throttled: ptr.To(int64(1000)), Failed: ptr.To(int64(1000))})
			}
			for a := range 6 {
				grant.Archives = append(grant.Archives, v1alpha1.ArchiveAssignment{Number: ptr.To(int64(10000 + a)), Attempt: 1})
			}
			l.Spec.Prefixes, l.Status.Prefixes = append(l.Spec.Prefixes, grant), append(l.Status.Prefixes, report)
		}
		status := l.Status
		Expect(api.Create(ctx, l)).To(Succeed())
		l.Status = status
		Expect(api.Status().Update(ctx, l)).To(Succeed())
		// Who wrote what is kept for the grant as a whole, and for each part of the report. Kept for each archive
		// and counter, as it was once, it is larger than all else, and most of what a report costs the API server.
		fields, err := yaml.Marshal(l.ManagedFields)
		Expect(err).NotTo(HaveOccurred())
		Expect(len(fields)).To(BeNumerically("<", 3_000))
		// Whoever applies nothing changes nothing, and is answered with the lease: so the right to write is one to read.
		nothing := &unstructured.Unstructured{Object: map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "PrefixLease",
			"metadata": map[string]any{"name": l.Name, "namespace": l.Namespace}, "status": map[string]any{}}}
		Expect(api.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(nothing), client.FieldOwner("by-hand"))).To(Succeed())
		Expect(nothing.Object["status"]).To(HaveKeyWithValue("prefixes", HaveLen(16)))
		l.ManagedFields = nil
		data, err := yaml.Marshal(l)
		Expect(err).NotTo(HaveOccurred())
		json, err := yaml.YAMLToJSON(data)
		Expect(err).NotTo(HaveOccurred())
		Expect(len(json)).To(BeNumerically("<", 13_000))
	})

	DescribeTable("bounds what a worker may say in a condition", func(ctx SpecContext, change func(*metav1.Condition), admitted bool) {
		l := lease()
		Expect(api.Create(ctx, l)).To(Succeed())
		c := metav1.Condition{Type: "Blocked", Status: metav1.ConditionTrue, Reason: "AccessDenied", LastTransitionTime: metav1.Now()}
		change(&c)
		l.Status.Conditions = []metav1.Condition{c}
		err := api.Status().Update(ctx, l)
		if admitted {
			Expect(err).NotTo(HaveOccurred())
			return
		}
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "got %v", err)
		Expect(err.Error()).To(ContainSubstring("at most 1024 characters"))
	},
		Entry("as long as ours are", func(c *metav1.Condition) { c.Message = strings.Repeat("x", 1024) }, true),
		Entry("a long message", func(c *metav1.Condition) { c.Message = strings.Repeat("x", 1025) }, false),
		Entry("a long reason", func(c *metav1.Condition) { c.Reason = strings.Repeat("x", 65) }, false),
		Entry("a long type", func(c *metav1.Condition) { c.Type = strings.Repeat("x", 65) }, false),
	)

	It("refuses a lease without an end", func(ctx SpecContext) {
		l := lease()
		l.Spec.LeaseDuration.Duration = 0
		err := api.Create(ctx, l)
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "got %v", err)
		Expect(err.Error()).To(ContainSubstring("between 1s and 1h"))
	})
})

// at splits a dotted path.
func at(path string) []string { return strings.Split(path, ".") }
