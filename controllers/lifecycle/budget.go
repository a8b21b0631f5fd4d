package lifecycle

import (
	"fmt"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/controllers/objects"
	"cargoship.dev/operator/internal/workload"
)

// budgetOf is the budget of a transfer in one line, "" for none.
func budgetOf(at *workload.Workload) string {
	if at.Transfer == nil || at.Transfer.Spec.Budget == nil {
		return ""
	}
	b := at.Transfer.Spec.Budget
	if b.MaxCost == nil {
		return "" // The schema requires it.
	}
	return fmt.Sprintf(`{"maxCost":%q,"months":%d}`, b.MaxCost.String(), b.Months)
}

// budgetChanged tells whether the workers hold the transfer for a budget that is no longer that
// of the spec. They can't learn of another, so they are started again; nothing has been uploaded.
func budgetChanged(in input) bool {
	blocked, _ := blockedLease(in.leases)
	return blocked != nil && blocked.Reason == v1alpha1.ReasonBudgetExceeded && in.workers != nil &&
		in.workers.Annotations[objects.AnnotationBudget] != budgetOf(in.transfer)
}
