package lifecycle

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/metrics"
	"cargoship.dev/operator/internal/tracing/tracingtest"
	"cargoship.dev/operator/internal/workload"
)

// newReconciler returns one of a cluster with these objects.
func newReconciler(t *testing.T, objects ...client.Object) *Reconciler {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, batchv1.AddToScheme, rbacv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	m, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(objects...).Build()
	return &Reconciler{
		Client: cluster, APIReader: cluster, Recorder: events.NewFakeRecorder(10), Metrics: m,
		Clock: testingclock.NewFakePassiveClock(time.Unix(1000, 0)),
	}
}

// The first reconcile adds the finalizer, the second decides; the claim is missing.
func TestAReconcileIsTraced(t *testing.T) {
	at := transferFrom(v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}}, v1alpha1.Credentials{})
	r := newReconciler(t, at.Object)
	c, flush := tracingtest.Trace(t)
	for range 2 {
		request := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(at.Object)}
		if _, err := r.reconcile(t.Context(), workload.KindTransfer, request); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	var got []map[string]any
	for _, s := range c.Spans("reconcile") {
		got = append(got, s.Attributes)
	}
	want := []map[string]any{
		{"cargoship.kind": workload.KindTransfer, "k8s.namespace.name": "ns", "cargoship.name": "t", "cargoship.outcome": "Done"},
		{"cargoship.kind": workload.KindTransfer, "k8s.namespace.name": "ns", "cargoship.name": "t", "cargoship.outcome": "Requeued",
			"cargoship.action": string(actHold), "cargoship.reason": v1alpha1.ReasonClaimNotFound},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}

func TestWorkersAreHandedTheEnvironment(t *testing.T) {
	at := transferFrom(v1alpha1.Source{PersistentVolumeClaim: &v1alpha1.ClaimSource{ClaimName: "c"}}, v1alpha1.Credentials{})
	for name, job := range jobsOf(t, at, AllowedSources{}) {
		r := newReconciler(t)
		r.WorkerEnv = []string{"A=b=c", "D=$(E)"}
		if err := r.createJob(t.Context(), at, job); err != nil {
			t.Fatal(err)
		}
		stored := &batchv1.Job{}
		if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(job), stored); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, v := range stored.Spec.Template.Spec.Containers[0].Env {
			got[v.Name] = v.Value
		}
		if got["A"] != "b=c" || got["D"] != "$$(E)" || got[v1alpha1.WorkerConfigEnv] == "" {
			t.Errorf("the environment of %s is %v", name, got)
		}
	}
}
