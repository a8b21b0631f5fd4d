//go:build !unix

package restore

import "io/fs"

// noLinkNorPipe is nothing. A link that leads out of the target is not followed in any case.
const noLinkNorPipe = 0

// ownerOf returns -1: other systems have no such owners.
func ownerOf(fs.FileInfo) (uid, gid int) { return -1, -1 }

// umask returns 0: other systems have none.
func umask() fs.FileMode { return 0 }
