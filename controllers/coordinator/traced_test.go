package coordinator

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/tracing/tracingtest"
)

// A domain that is not due has no span: it is looked at four times a second.
func TestATickIsTraced(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.DestinationProfile{}).Build()
	c := &Coordinator{
		Client: cluster, APIReader: cluster, Clock: testingclock.NewFakeClock(time.Unix(1000, 0)),
		Metrics: newMetrics(t, prometheus.NewRegistry()), Rand: rand.New(rand.NewPCG(1, 2)), epoch: 7,
	}
	c.retries = c.newRetries()
	d, err := newDomain(t.Context(), c, "https://s3.example.com/bucket", protocol.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.end)
	lead(t, d, "1", "pod")
	traces, flush := tracingtest.Trace(t)
	for range 2 {
		if err := d.tick(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	flush()
	spans := traces.Spans("tick")
	if len(spans) != 1 {
		t.Fatalf("spans %+v, want one", spans)
	}
	t.Log(spans[0].Attributes)
	for name, want := range map[string]any{"cargoship.domain": d.name, "cargoship.transfers": int64(0), "cargoship.workers": int64(1)} {
		if got := spans[0].Attributes[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
