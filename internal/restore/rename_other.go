//go:build !linux

package restore

import (
	"errors"
	"os"
)

// renameNew is for Linux only.
func renameNew(*os.Root, string, string) error { return errors.ErrUnsupported }
