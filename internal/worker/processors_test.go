package worker

import (
	"testing"
	"time"
)

// A process that does nothing but compute uses a processor, or what it is given of one.
func TestProcessorsCountWhatIsUsed(t *testing.T) {
	var p processors
	if got := p.since(time.Now()); got != nil {
		t.Errorf("%d before anything was measured", *got)
	}
	before, _ := processorTime()
	for used := before; used-before < 50*time.Millisecond; used, _ = processorTime() {
	}
	// As if all that had happened within 100 ms.
	got := p.since(p.at.Add(100 * time.Millisecond))
	if got == nil || *got < 500 {
		t.Fatalf("at least 50 ms of 100 are shown as %v thousandths", got)
	}
}
