package restore

// Gather bounds the members in memory of a selection that is looked up in the path index.
func (c *Catalog) Gather(members int) { c.gather = members }
