package restore

import "os"

// Gather bounds the members in memory of a selection that is looked up in the path index.
func (c *Catalog) Gather(members int) { c.gather = members }

// WithSync has a function called in place of the syncing of the file system.
func (o Options) WithSync(sync func() error) Options {
	o.flush = func(*os.File) error { return sync() }
	return o
}
