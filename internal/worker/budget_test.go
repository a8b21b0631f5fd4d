package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
)

// budgeted opens a site with 200 small files and a budget, and returns its planner.
func budgeted(t *testing.T, change func(*v1alpha1.ArchiveTransferSpec)) (*Place, planFunc) {
	t.Helper()
	s, dir := startS3(t), t.TempDir()
	for i := range 200 {
		write(t, dir, fmt.Sprint(i), []byte("x"))
	}
	site := siteAt(t, s, dir)
	change(&site.Transfer.Spec)
	place := open(t, site)
	planner := &archive.Planner{Source: place.source, Store: place.client, Layout: place.layout}
	within := place.withinBudget(planner.Run)
	return place, within
}

func budget(cost string) *v1alpha1.Budget {
	return &v1alpha1.Budget{MaxCost: ptr.To(resource.MustParse(cost)), Months: 12}
}

// 204 requests in STANDARD, 0.00102 USD, and hardly any storage.
func TestAPlanIsToldOnlyWithinTheBudget(t *testing.T) {
	for cost, within := range map[string]bool{"0": false, "1m": false, "1100u": true, "1": true} {
		_, plan := budgeted(t, func(s *v1alpha1.ArchiveTransferSpec) { s.Budget = budget(cost) })
		p, err := plan(t.Context(), func(archive.Plan) { t.Errorf("maxCost %s: a plan is told before its cost is known", cost) })
		if within {
			if err != nil || !p.Complete || len(p.Prefixes) == 0 {
				t.Errorf("maxCost %s: %+v, %v", cost, p, err)
			}
			continue
		}
		v := verdictOf(err)
		if err == nil || v.reason != v1alpha1.ReasonBudgetExceeded || len(p.Prefixes) > 0 {
			t.Errorf("maxCost %s: %+v, %v", cost, p, err)
		}
		for _, want := range []string{"205 objects in STANDARD for 12 months cost about 0.01 USD", "maxCost is " + cost, "raise or remove it"} {
			if !strings.Contains(v.message, want) {
				t.Errorf("maxCost %s: the message lacks %q: %s", cost, want, v.message)
			}
		}
	}
}

// The class and the encryption of the spec are those that are priced.
func TestTheBudgetIsForTheClassOfTheSpec(t *testing.T) {
	_, plan := budgeted(t, func(s *v1alpha1.ArchiveTransferSpec) {
		s.Budget = budget("0.0105") // 200 × 0.05 + 4 × 0.005 for 1,000, and 40 KiB for each: 0.0102 + 0.0019 for a year
		s.Destination.StorageClass = "DEEP_ARCHIVE"
	})
	if _, err := plan(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "in DEEP_ARCHIVE for 12 months cost about 0.02 USD") {
		t.Error(err)
	}
	_, plan = budgeted(t, func(s *v1alpha1.ArchiveTransferSpec) {
		s.Budget = budget("1100u")
		s.Destination.ServerSideEncryption = &v1alpha1.ServerSideEncryption{Algorithm: "aws:kms"}
	})
	if _, err := plan(t.Context(), nil); verdictOf(err).reason != v1alpha1.ReasonBudgetExceeded {
		t.Errorf("the KMS costs nothing: %v", err)
	}
}

// What failed to be listed is no matter of the budget, and without one nothing is held back.
func TestTheBudgetLeavesOtherPlansAlone(t *testing.T) {
	place, plan := budgeted(t, func(*v1alpha1.ArchiveTransferSpec) {})
	told := 0
	if _, err := plan(t.Context(), func(archive.Plan) { told++ }); err != nil || told == 0 {
		t.Errorf("told %d times, %v", told, err)
	}
	place.site.Transfer.Spec.Budget = budget("1")
	broken := errors.New("open source: input/output error")
	held := place.withinBudget(func(context.Context, func(archive.Plan)) (archive.Plan, error) { return archive.Plan{}, broken })
	if _, err := held(t.Context(), nil); !errors.Is(err, broken) {
		t.Error(err)
	}
}
