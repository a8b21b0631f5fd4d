package metrics

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

// workloads are the gauges of all transfers, or those of all restores.
type workloads struct {
	bytes, files      *prometheus.GaugeVec
	throughput        *prometheus.GaugeVec
	workers           *prometheus.GaugeVec
	condition, reason *prometheus.GaugeVec
	state, limit      *prometheus.GaugeVec
	failures          *prometheus.GaugeVec
}

// workloadGauges returns those of a kind, transfer or restore, which is part of their names
// and the label that names the object.
func workloadGauges(kind string) workloads {
	of := func(name, help string, label ...string) *prometheus.GaugeVec {
		return gauge(kind+"_"+name, fmt.Sprintf(help, kind), append(label, "namespace", kind, "uid"))
	}
	return workloads{
		bytes:      of("bytes", "Bytes of a %s by outcome: planned, done, failed or skipped.", "outcome"),
		files:      of("files", "Files of a %s by outcome: planned, done, failed or skipped.", "outcome"),
		throughput: of("throughput_bytes_per_second", "Current throughput of a %s, summed over its workers."),
		workers:    of("workers", "Workers of a %s by state: desired, leased, blocked or failed.", "state"),
		condition:  of("condition", "Conditions of a %s: 1 if true, 0 otherwise.", "condition"),
		reason:     of("reason", "1 for the reason of the condition Progressing of a %s; others are absent.", "reason"),
		state:      of("congestion_state", "1 for the current congestion control state of a %s's first prefix; other states are absent.", "state"),
		limit:      of("limited_by", "1 for what limits a %s now, as in status.coordination.limitedBy; others are absent.", "limit"),
		failures:   of("failed_archives", "Archives of a %s with failed files, by reason: those listed in the status, 32 at most.", "reason"),
	}
}

// all are the gauges.
func (w workloads) all() []*prometheus.GaugeVec {
	return []*prometheus.GaugeVec{w.bytes, w.files, w.throughput, w.workers, w.condition, w.reason, w.state, w.limit, w.failures}
}

// coordinated exports the coordinator's part of a status.
func (w workloads) coordinated(at *workload.Workload, s v1alpha1.ArchiveTransferStatus) {
	ids, uid := identity(at)
	if p := s.Progress; p != nil {
		for outcome, t := range map[string]*v1alpha1.Tally{
			"planned": p.Planned, "done": p.Done, "failed": p.Failed, "skipped": p.Skipped} {
			if t != nil {
				w.bytes.WithLabelValues(append([]string{outcome}, ids...)...).Set(float64(ptr.Deref(t.Bytes, 0)))
				w.files.WithLabelValues(append([]string{outcome}, ids...)...).Set(float64(ptr.Deref(t.Files, 0)))
			}
		}
		w.throughput.WithLabelValues(ids...).Set(float64(ptr.Deref(p.BytesPerSecond, 0)))
	}
	w.judge(ids, s.Conditions)
	w.state.DeletePartialMatch(uid)
	if s.Coordination != nil && s.Coordination.State != "" {
		w.state.WithLabelValues(append([]string{s.Coordination.State}, ids...)...).Set(1)
	}
	w.limit.DeletePartialMatch(uid)
	if s.Coordination != nil && s.Coordination.LimitedBy != "" {
		w.limit.WithLabelValues(append([]string{string(s.Coordination.LimitedBy)}, ids...)...).Set(1)
	}
	w.failures.DeletePartialMatch(uid)
	for _, f := range s.Failures {
		w.failures.WithLabelValues(append([]string{f.Reason}, ids...)...).Inc()
	}
}

// lifecycle exports the lifecycle reconciler's part of a status.
func (w workloads) lifecycle(at *workload.Workload, s v1alpha1.ArchiveTransferStatus) {
	ids, uid := identity(at)
	if n := s.Workers; n != nil {
		for state, n := range map[string]*int32{"desired": n.Desired, "leased": n.Leased, "blocked": n.Blocked, "failed": n.Failed} {
			w.workers.WithLabelValues(append([]string{state}, ids...)...).Set(float64(ptr.Deref(n, 0)))
		}
	}
	w.judge(ids, s.Conditions)
	w.reason.DeletePartialMatch(uid)
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionProgressing); c != nil {
		w.reason.WithLabelValues(append([]string{c.Reason}, ids...)...).Set(1)
	}
}

func (w workloads) judge(ids []string, conditions []metav1.Condition) {
	for _, c := range conditions {
		value := 0.
		if c.Status == metav1.ConditionTrue {
			value = 1
		}
		w.condition.WithLabelValues(append([]string{c.Type}, ids...)...).Set(value)
	}
}

// identity is the values of the labels that every series of a workload has, and the one of
// them that is unique.
func identity(at *workload.Workload) ([]string, prometheus.Labels) {
	return []string{at.Namespace, at.Name, string(at.UID)}, prometheus.Labels{"uid": string(at.UID)}
}
