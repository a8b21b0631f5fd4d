package restore

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// setAttributes sets extended attributes.
func setAttributes(f *os.File, all map[string]string) error {
	for name, value := range all {
		if err := unix.Fsetxattr(int(f.Fd()), name, []byte(value), 0); err != nil {
			return fmt.Errorf("set extended attribute %s: %w", name, err)
		}
	}
	return nil
}

// setLinkTime sets the time of a symbolic link in a directory.
func setLinkTime(dir *os.File, name string, at time.Time) error {
	t := unix.NsecToTimespec(at.UnixNano())
	if err := unix.UtimesNanoAt(int(dir.Fd()), name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set the time of a link: %w", err)
	}
	return nil
}
