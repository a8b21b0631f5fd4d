//go:build !race

package sim

import (
	"testing"
	"time"
)

// settled is when the figures are of more than the beginning.
const settled = 30 * time.Second

// What the alerts of charts/cargoship/files/rules.yaml look at, in every scenario: none
// of them would fire in a run that goes as it should, however long it went on. Workers
// that are meant to be uneven, and an outage, are no reason for the first two either.
func TestNoAlertFiresWhereAllIsWell(t *testing.T) {
	scenarios, err := Load("scenarios")
	if err != nil {
		t.Fatal(err)
	}
	uneven := map[string]bool{"09-blackouts": true, "09b-blackouts-silent": true, "10-uneven-workers": true, "12-bursts": true}
	for _, s := range scenarios {
		s.Duration = min(s.Duration, Duration(3*time.Minute))
		adaptive, err := FindController("adaptive")
		if err != nil {
			t.Fatal(err)
		}
		r := newRun(s, 1)
		f := newFleet(r, adaptive)
		r.record.watch(r)
		overhead, balance, n := 0.0, 0.0, 0.0
		r.every(time.Second, func() {
			if f.manager.core != nil && r.now >= settled {
				m := f.manager.core.Metrics(f.manager.clock())
				overhead, balance, n = max(overhead, m.Overhead), balance+m.LoadBalance, n+1
			}
		})
		r.play()
		if overhead > 0.1 {
			t.Errorf("%s: CargoShipCoordinationOverhead is about to fire at %.3f", s.Name, overhead)
		}
		if m := f.manager.core.Metrics(f.manager.clock()); m.Baseline.Measured && m.Improvement < -0.2 {
			t.Errorf("%s: CargoShipLittleImprovement is about to fire at %.2f of %+v", s.Name, 1+m.Improvement, m.Baseline)
		}
		if balance /= n; balance < 0.8 && !uneven[s.Name] {
			t.Errorf("%s: CargoShipLoadUnbalanced is about to fire at %.2f", s.Name, balance)
		}
	}
}
