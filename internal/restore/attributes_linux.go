package restore

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cargoship.dev/operator/internal/archive"
)

// setXattr sets an extended attribute, unless it is so already, and reads it back.
func setXattr(f *os.File, x archive.Xattr) error {
	if hasXattr(f, x) {
		return nil
	}
	if err := unix.Fsetxattr(int(f.Fd()), x.Name, []byte(x.Value), 0); err != nil {
		return err
	}
	if !hasXattr(f, x) {
		return errors.New("it reads back as another value")
	}
	return nil
}

// hasXattr says that a file has an extended attribute of this value.
func hasXattr(f *os.File, x archive.Xattr) bool {
	value := make([]byte, len(x.Value)+1)
	n, err := unix.Fgetxattr(int(f.Fd()), x.Name, value)
	return err == nil && string(value[:n]) == x.Value
}

// namedXattr says that a file has an extended attribute of this name.
func namedXattr(f *os.File, name string) bool {
	_, err := unix.Fgetxattr(int(f.Fd()), name, nil)
	return err == nil
}

func removeXattr(f *os.File, name string) error {
	if err := unix.Fremovexattr(int(f.Fd()), name); err != nil && !errors.Is(err, unix.ENODATA) {
		return fmt.Errorf("remove extended attribute %q: %w", name, err)
	}
	return nil
}

// aclsOf returns the names of the attributes that hold access control lists of a file.
func aclsOf(f *os.File) ([]string, error) {
	names := make([]byte, 1<<10) // New files have few.
	n, err := unix.Flistxattr(int(f.Fd()), names)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	var acls []string
	for name := range strings.SplitSeq(string(names[:n]), "\x00") {
		if name == archive.AccessACL || name == archive.DefaultACL {
			acls = append(acls, name)
		}
	}
	return acls, nil
}

// setTime sets the time of an open file or directory. Others may give its name to another one.
func setTime(_ *os.Root, f *os.File, _ string, at time.Time) error {
	t, err := timespecs(at)
	if err == nil {
		if err = unix.UtimesNanoAt(int(f.Fd()), "", t, unix.AT_EMPTY_PATH); err != nil { // Before Linux 5.8.
			err = unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), t, 0)
		}
	}
	return localError("set time", err)
}

// setLinkTime sets the time of a symbolic link in a directory.
func setLinkTime(dir *os.File, name string, at time.Time) error {
	t, err := timespecs(at)
	if err == nil {
		err = unix.UtimesNanoAt(int(dir.Fd()), name, t, unix.AT_SYMLINK_NOFOLLOW)
	}
	return localError("set the time of a link", err)
}

// timespecs are the times of access and modification: both are that of a member, which may be beyond
// what nanoseconds since 1970 can tell.
func timespecs(at time.Time) ([]unix.Timespec, error) {
	t, err := unix.TimeToTimespec(at)
	return []unix.Timespec{t, t}, err
}
