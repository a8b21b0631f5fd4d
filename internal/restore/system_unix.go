//go:build unix

package restore

import (
	"io/fs"
	"syscall"
)

// noLinkNorPipe has the opening of a link fail, and that of a pipe not block.
const noLinkNorPipe = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// ownerOf returns the owner of a file; -1 if the system has none.
func ownerOf(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// umask returns the mode bits that this process takes from what it makes.
func umask() fs.FileMode {
	mask := syscall.Umask(0)
	syscall.Umask(mask)
	return fs.FileMode(mask)
}
