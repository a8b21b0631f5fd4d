package convert

import (
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// Coordination writes how a transfer is coordinated: window, rate and what limits, and why, are
// those of the group that its first prefix is in.
func Coordination(p protocol.Progress, snapshot protocol.Snapshot, m coordination.CoordinationMetrics, last protocol.Decision) *v1alpha1.CoordinationStatus {
	out := &v1alpha1.CoordinationStatus{Metrics: CoordinationMetrics(m)}
	if len(p.Prefixes) == 0 || snapshot.Path == nil {
		return out
	}
	first := p.Prefixes[0]
	for _, g := range snapshot.Groups {
		if g.Name != first.Group {
			continue
		}
		out.State, out.Window = string(first.State), ptr.To(int32(min(snapshot.Path.Window, 1<<30)))
		out.MilliRequestsPerSecond = ptr.To(int64(g.Rate * 1000))
		limit, reason := last.Why(g.Name)
		out.LimitedBy, out.Reason = v1alpha1.Limit(limit), string(reason)
	}
	return out
}
