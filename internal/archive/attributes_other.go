//go:build !linux

package archive

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// attributes returns nothing: extended attributes are archived on Linux only.
func attributes(*os.File) (kept []Xattr, others []string, err error) { return nil, nil, nil }

// dataExtents returns the whole file: holes are found on Linux only.
func dataExtents(_ context.Context, _ *os.File, info fs.FileInfo) ([]Extent, bool, error) {
	return wholeFile(info.Size()), false, nil
}

// changeTime returns nothing: systems differ in how they tell it.
func changeTime(fs.FileInfo) time.Time { return time.Time{} }
