//go:build !linux

package restore

import (
	"errors"
	"os"
	"time"

	"cargoship.dev/operator/internal/archive"
)

// setXattr sets nothing: extended attributes are restored on Linux only.
func setXattr(*os.File, archive.Xattr) error {
	return errors.New("extended attributes are restored on Linux only")
}

func hasXattr(*os.File, archive.Xattr) bool { return false }

func namedXattr(*os.File, string) bool { return true }

func removeXattr(*os.File, string) error { return nil }

func aclsOf(*os.File) ([]string, error) { return nil, nil }

// setTime sets the time of a file or directory by its name.
func setTime(dir *os.Root, _ *os.File, name string, at time.Time) error {
	return localError("set time", dir.Chtimes(name, at, at))
}

// setLinkTime does nothing: links get their times back on Linux only.
func setLinkTime(*os.File, string, time.Time) error { return nil }
