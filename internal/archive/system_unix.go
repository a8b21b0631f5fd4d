//go:build unix

package archive

import (
	"io/fs"
	"os"
	"syscall"
)

// directoryOnly has the opening of anything but a directory fail, rather than block.
const directoryOnly = syscall.O_DIRECTORY | syscall.O_NONBLOCK

// statBlock is the unit of Stat_t.Blocks in bytes.
const statBlock = 512

// fromSystem records the owner, and of a file to pack the space taken.
func (f *found) fromSystem(info fs.FileInfo, pack bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	f.UID, f.GID = int(st.Uid), int(st.Gid)
	if pack {
		f.occupy(st)
	}
}

// occupy records the inode of a file that has several names, and the space taken.
func (f *found) occupy(st *syscall.Stat_t) {
	if st.Nlink > 1 {
		f.inode = inode{uint64(st.Dev), st.Ino}
	}
	if stored := st.Blocks * statBlock; stored < f.Size {
		f.Stored = max(stored, statBlock)
	}
}

// usedSpace is how many bytes of a file system are in use.
func usedSpace(dir *os.File) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(dir.Fd()), &st); err != nil {
		return 0, err
	}
	return int64(st.Blocks-st.Bfree) * int64(st.Bsize), nil
}
