package restore

import (
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// roomIn asks how much room the user has in the file system of a directory, if it says so.
func roomIn(root *os.Root) (free Room, known bool, err error) {
	dir, err := root.Open(".")
	if err != nil {
		return free, false, err
	}
	defer dir.Close() //nolint:errcheck // Nothing was written through it.
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &s); err != nil {
		return free, false, err
	}
	if s.Blocks == 0 {
		return free, false, nil // It does not count.
	}
	unit := s.Frsize
	if unit <= 0 {
		unit = s.Bsize
	}
	free.Bytes = int64(min(s.Bavail, uint64(math.MaxInt64/max(1, unit)))) * unit
	free.Files = math.MaxInt64
	if s.Files > 0 { // File systems that make inodes as needed have none to count.
		free.Files = int64(min(s.Ffree, math.MaxInt64))
	}
	return free, true, nil
}
