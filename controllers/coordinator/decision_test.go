package coordinator

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// decided is a decision in which a rate limits one group, and the window the other.
func decided() protocol.Decision {
	return protocol.Decision{
		Round:  protocol.RoundView{InFlight: 90, Latency: 120 * time.Millisecond, Queue: 15, QueueTarget: 30},
		Window: protocol.WindowDecision{Before: 100, Window: 112, State: protocol.CongestionAvoidance, Reason: "QueueBelowTarget"},
		Groups: []protocol.GroupDecision{
			{Group: "shared", State: protocol.CongestionAvoidance, Reason: "Unpaced", LimitedBy: protocol.ByWindow},
			{Group: "shared-1", Before: 100, Rate: 5, State: protocol.Recovery, Reason: "NoSuccess", LimitedBy: protocol.ByRate},
		},
	}
}

func TestDecisionsAreLogged(t *testing.T) {
	for level, want := range map[slog.Level]int{slog.LevelInfo: 0, slog.LevelDebug: 2} {
		var out bytes.Buffer
		logger := logr.FromSlogHandler(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))
		logDecision(logger, "d", protocol.Decision{})
		logDecision(logger, "d", decided())
		var entries []map[string]any
		for _, line := range bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n")) {
			entry := map[string]any{}
			if json.Unmarshal(line, &entry) == nil {
				entries = append(entries, entry)
			}
		}
		if len(entries) != want {
			t.Fatalf("%d entries at level %v, want %d:\n%s", len(entries), level, want, out.String())
		}
		if want == 0 {
			continue
		}
		window, rate := entries[0], entries[1]
		if window["domain"] != "d" || window["reason"] != "QueueBelowTarget" || window["window"] != 112.0 || window["queue"] != 15.0 || window["latencySeconds"] != 0.12 {
			t.Errorf("the window is logged as %v", window)
		}
		if rate["group"] != "shared-1" || rate["reason"] != "NoSuccess" || rate["before"] != 100.0 || rate["rate"] != 5.0 || rate["limitedBy"] != "Rate" {
			t.Errorf("the rate is logged as %v", rate)
		}
	}
}

// A transfer is told why it is as fast as it is: by its rate where that is what limits, else
// by the window.
func TestTheStatusSaysWhy(t *testing.T) {
	snapshot := protocol.Snapshot{
		Path:   &protocol.PathSnapshot{Window: 112},
		Groups: []protocol.GroupSnapshot{{Name: "shared"}, {Name: "shared-1", Rate: 5}, {Name: "shared-2"}},
	}
	for group, want := range map[string]v1alpha1.CoordinationStatus{
		"shared":   {LimitedBy: v1alpha1.LimitWindow, Reason: "QueueBelowTarget"},
		"shared-1": {LimitedBy: v1alpha1.LimitRate, Reason: "NoSuccess", MilliRequestsPerSecond: ptr.To(int64(5000))},
		"shared-2": {Reason: "QueueBelowTarget"}, // it came after the round
	} {
		first := protocol.Progress{Prefixes: []protocol.PrefixProgress{{Group: group, State: protocol.CongestionAvoidance}}}
		got := convert.Coordination(first, snapshot, coordination.CoordinationMetrics{}, decided())
		if got.LimitedBy != want.LimitedBy || got.Reason != want.Reason || *got.Window != 112 ||
			ptr.Deref(got.MilliRequestsPerSecond, 0) != ptr.Deref(want.MilliRequestsPerSecond, 0) {
			t.Errorf("group %s: got %+v, want %+v", group, got, want)
		}
	}
}
