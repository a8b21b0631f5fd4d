package restore

import (
	"io/fs"
	"syscall"
)

// ownerOf returns the owner of a file; -1 if the system has none.
func ownerOf(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}
