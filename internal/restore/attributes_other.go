//go:build !linux

package restore

import (
	"os"
	"time"
)

// setAttributes does nothing: extended attributes are restored on Linux only.
func setAttributes(*os.File, map[string]string) error { return nil }

// setLinkTime does nothing: links get their times back on Linux only.
func setLinkTime(*os.File, string, time.Time) error { return nil }
