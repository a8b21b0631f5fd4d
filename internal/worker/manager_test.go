package worker

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
)

// manager is the least a manager does: it has the transfer planned, hands out
// every archive until it has ended, and drains the worker.
type manager struct {
	window int32
	spec   v1alpha1.PrefixLeaseSpec
	// ended are the archives that ended for good.
	ended map[string]v1alpha1.FinishedArchive
	// attempts made at archives, by name.
	attempts map[string]int32
	planned  map[string]v1alpha1.PlannedPrefix
	complete bool
}

func newManager(epoch int64, podUID string) *manager {
	return &manager{
		window: 8,
		spec: v1alpha1.PrefixLeaseSpec{
			TransferName: "t", PodUID: podUID, Epoch: epoch, Sequence: 1, Mode: v1alpha1.LeaseActive, Duty: v1alpha1.DutyPlan,
			LeaseDuration:  metav1.Duration{Duration: 10 * time.Second},
			ReportInterval: metav1.Duration{Duration: 200 * time.Millisecond},
		},
		ended:    map[string]v1alpha1.FinishedArchive{},
		attempts: map[string]int32{},
		planned:  map[string]v1alpha1.PlannedPrefix{},
	}
}

func archiveName(prefix string, number int64) string { return fmt.Sprintf("%s/%d", prefix, number) }

// take takes in a report and returns the next grant.
func (m *manager) take(r v1alpha1.PrefixLeaseStatus) v1alpha1.PrefixLeaseSpec {
	if r.Plan != nil {
		m.complete = m.complete || r.Plan.State == planComplete
		for _, p := range r.Plan.Prefixes {
			m.planned[p.Name] = p
		}
	}
	for _, f := range r.Finished {
		name := archiveName(f.Prefix, *f.Number)
		if _, ended := m.ended[name]; ended {
			continue
		}
		if f.Result == v1alpha1.ArchiveRetry {
			m.attempts[name]++
			continue
		}
		m.ended[name] = f
	}
	m.spec.AcknowledgedReport, m.spec.AcknowledgedInstance = r.ReportSequence, r.Instance
	m.spec.Sequence++
	m.spec.Prefixes = nil
	for _, p := range m.planned {
		m.spec.Prefixes = append(m.spec.Prefixes, m.grant(p))
	}
	if m.complete {
		m.spec.Duty = ""
	}
	if m.done() {
		m.spec.Mode, m.spec.Prefixes = v1alpha1.LeaseDrain, nil
	}
	return m.spec
}

// grant hands out up to 16 archives of a prefix.
func (m *manager) grant(p v1alpha1.PlannedPrefix) v1alpha1.PrefixGrant {
	g := v1alpha1.PrefixGrant{Name: p.Name, Window: &m.window}
	for n := int64(0); n < *p.Archives && len(g.Archives) < 16; n++ {
		name := archiveName(p.Name, n)
		if _, ended := m.ended[name]; !ended {
			g.Archives = append(g.Archives, v1alpha1.ArchiveAssignment{Number: new(n), Attempt: 1 + m.attempts[name]})
		}
	}
	return g
}

// done says that everything planned has ended.
func (m *manager) done() bool {
	var archives int64
	for _, p := range m.planned {
		archives += *p.Archives
	}
	return m.complete && int64(len(m.ended)) == archives
}

// totals sums up what has ended.
func (m *manager) totals() (done, failed, skipped tally) {
	sum := func(to *tally, t *v1alpha1.Tally) {
		if t != nil {
			to.files += *t.Files
			to.bytes += *t.Bytes
		}
	}
	for _, f := range m.ended {
		sum(&done, f.Done)
		sum(&failed, f.Failed)
		sum(&skipped, f.Skipped)
	}
	return done, failed, skipped
}
