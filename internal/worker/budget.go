package worker

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/estimate"
	"cargoship.dev/operator/internal/prices"
)

// planFunc is EngineOptions.Plan.
type planFunc func(ctx context.Context, progress func(archive.Plan)) (archive.Plan, error)

// withinBudget returns plan, or if the transfer has a budget, one that tells of no archive before
// all are listed and known to cost no more: what nobody is told of is not uploaded.
func (p *Place) withinBudget(plan planFunc) planFunc {
	spec := p.site.Transfer.Spec
	if spec.Budget == nil {
		return plan
	}
	var listed *estimate.Run // kept, for the plan is tried again and again while it costs too much
	return func(ctx context.Context, _ func(archive.Plan)) (archive.Plan, error) {
		planned, err := plan(ctx, func(archive.Plan) {})
		if err != nil {
			return planned, err
		}
		table, err := prices.Default()
		if err != nil {
			return archive.Plan{}, err
		}
		if listed == nil {
			run, _, err := estimate.Planned(ctx, p.client, p.layout, table)
			if err != nil {
				return archive.Plan{}, err
			}
			listed = &run
		}
		if err := checkBudget(spec, *listed, table); err != nil {
			return archive.Plan{}, err
		}
		return planned, nil
	}
}

// checkBudget returns an error if a run costs more than its budget.
func checkBudget(spec v1alpha1.ArchiveTransferSpec, r estimate.Run, table prices.Table) error {
	class := spec.Destination.StorageClass
	if class == "" {
		class = table.Bookkeeping // of the bucket's default class
	}
	quote, err := table.Quote(class, r.Load(), estimate.Terms(spec.Destination, float64(spec.Budget.Months)))
	if err != nil {
		return reasoned{err, v1alpha1.ReasonBudgetExceeded}
	}
	most := resource.Quantity{}
	if spec.Budget.MaxCost != nil {
		most = *spec.Budget.MaxCost
	}
	if limit := most.AsApproximateFloat64(); limit > 0 && quote.Total <= limit {
		return nil
	}
	return reasoned{fmt.Errorf("%d objects in %s for %d months cost about %.2f %s at the list prices of %s (%s once and %s a month%s); "+
		"spec.budget.maxCost is %s, so nothing was uploaded: raise or remove it, or create a transfer with another packing or storage class",
		r.Objects, class, spec.Budget.Months, prices.RoundUp(quote.Total), table.Currency, table.Date,
		estimate.Amount(quote.Requests+quote.KMS), estimate.Amount(quote.Month), minimum(quote), most.String()), v1alpha1.ReasonBudgetExceeded}
}

// minimum tells of a minimum storage duration, if there is one.
func minimum(q prices.Quote) string {
	if q.MinimumDays == 0 {
		return ""
	}
	return fmt.Sprintf(", for at least %d days", q.MinimumDays)
}
