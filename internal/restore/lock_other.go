//go:build !unix

package restore

import "os"

// lock does nothing: other systems have no such locks.
func lock(*os.File) (guard *os.File, held bool) { return nil, false }
