package restore

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames within a directory unless the new name is taken, where the file system can.
func renameNew(dir *os.Root, from, to string) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // Nothing was written to it.
	err = unix.Renameat2(int(d.Fd()), from, int(d.Fd()), to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) { // as NFS has it
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}
