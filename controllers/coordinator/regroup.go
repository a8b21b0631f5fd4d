package coordinator

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"cargoship.dev/operator/internal/convert"
)

// regroup ends the domains between which a change of policies has moved destinations. What they have
// granted stands in the API, and they are begun anew as by another leader: with later epochs, from
// the leases of the transfers that each has now, which are charged until they are replaced. So
// whatever was granted is charged in one domain, and in one alone.
func (c *Coordinator) regroup(ctx context.Context, world map[string][]*member) {
	led := map[string]string{}
	for name, members := range world {
		if _, known := c.domains[name]; !known {
			c.domains[name] = nil // not yet under control, which those that share its limits have to know
		}
		for _, m := range members {
			own := convert.OwnDomain(m.transfer)
			before, known := c.led[own]
			led[own] = name
			if known && before != name {
				delete(c.led, own)
				log.FromContext(ctx).WithName("coordinator").Info("moved a destination to another domain", "destination", own, "from", before, "to", name)
				c.endDomain(before)
				c.endDomain(name)
			}
		}
	}
	c.led = led
}

// endDomain ends a domain that is to be begun anew once it has settled.
func (c *Coordinator) endDomain(name string) {
	c.domains[name].end()
	c.domains[name] = nil
	c.ended[name] = c.Clock.Now()
}

// settling tells that a domain was ended a moment ago: the cache may not show yet what it has
// written last, and what was cut off may still be applied.
func (c *Coordinator) settling(name string) bool {
	at, ended := c.ended[name]
	if ended && c.Clock.Since(at) >= cacheLag {
		delete(c.ended, name)
		return false
	}
	return ended
}
