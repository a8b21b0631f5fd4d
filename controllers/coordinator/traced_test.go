package coordinator

import (
	"testing"

	"cargoship.dev/operator/internal/tracing/tracingtest"
)

// A domain that is not due has no span: it is looked at four times a second.
func TestATickIsTraced(t *testing.T) {
	d := newDomainOf(t, newLeader(t, newCluster(t), newClock()))
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
	for name, want := range map[string]any{"cargoship.domain": d.name, "cargoship.transfers": int64(0), "cargoship.workers": int64(1)} {
		if got := spans[0].Attributes[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
