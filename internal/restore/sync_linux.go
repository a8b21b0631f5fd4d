package restore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncFileSystem has a file system written. Since Linux 5.8 it reports what could not be written
// since the directory was opened.
func syncFileSystem(dir *os.File) error {
	err := unix.Syncfs(int(dir.Fd()))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
