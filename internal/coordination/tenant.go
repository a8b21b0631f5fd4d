package coordination

import (
	"cmp"
	"slices"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/fairshare"
)

// tenant is the owner of transfers: shares are divided over tenants first, and the reports
// of a tenant's workers count for no more than its share.
type tenant struct {
	name     string
	evidence congestion.Evidence
	share    fairshare.Tenant
}

// tenantOf finds or makes a tenant.
func (c *PipelineCoordinator) tenantOf(name string) *tenant {
	i, known := slices.BinarySearchFunc(c.tenants, name, func(t *tenant, name string) int { return cmp.Compare(t.name, name) })
	if !known {
		c.tenants = slices.Insert(c.tenants, i, &tenant{name: name, evidence: congestion.NewEvidence()})
	}
	return c.tenants[i]
}

// forgetTenants drops those that have no transfers.
func (c *PipelineCoordinator) forgetTenants() {
	c.tenants = slices.DeleteFunc(c.tenants, func(t *tenant) bool {
		return !slices.ContainsFunc(c.transfers, func(x *transfer) bool { return x.tenant == t })
	})
}
