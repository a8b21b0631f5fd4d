package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/protocol"
)

func TestDrain(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.dest.linger = time.Second
		b.run()
		b.on("a", 2, 0, 1)
		b.renew()
		b.renew()
		after(testUpload / 2)
		b.grant.Mode, b.grant.Prefixes = v1alpha1.LeaseDrain, nil
		b.send()
		synctest.Wait()
		if s, _ := condition(b.Report(), v1alpha1.LeaseConditionDrained); s != metav1.ConditionFalse {
			t.Errorf("Drained is %q with requests in flight", s)
		}
		start := time.Now()
		if err := <-b.ran; err != nil {
			t.Errorf("Run returned %v", err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("draining took %s", d)
		}
		if s, _ := condition(b.Report(), v1alpha1.LeaseConditionDrained); s != metav1.ConditionTrue {
			t.Errorf("Drained is %q after Run", s)
		}
		b.ran <- nil
	})
}

func TestTerminated(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		after(testUpload / 2)
		b.stop()
		if err := <-b.ran; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
		r := b.Report()
		if s, _ := condition(r, v1alpha1.LeaseConditionDrained); s != metav1.ConditionTrue || len(r.Finished) > 0 {
			t.Errorf("Drained is %q, finished %v", s, numbers(r))
		}
		b.ran <- nil
	})
}

func TestReportStaysBounded(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.files = 1
		b.run()
		r := b.Report()
		for n := int64(0); n < 3*protocol.MaxFinished; n += 64 {
			var all []int64
			for i := range int64(64) {
				all = append(all, n+i)
			}
			b.on("a", 50, all...)
			b.grant.AcknowledgedReport, b.grant.AcknowledgedInstance = r.ReportSequence, r.Instance // never a later one
			b.grant.LeaseDuration.Duration = time.Hour
			b.send()
			after(10 * time.Second)
		}
		if got := len(b.Report().Finished); got != protocol.MaxFinished {
			t.Errorf("a report of %d archives, want %d", got, protocol.MaxFinished)
		}
		if keys, _ := b.dest.sinceLast(); len(keys) != protocol.MaxFinished {
			t.Errorf("%d archives sent, of which %d can be reported", len(keys), protocol.MaxFinished)
		}
	})
}
