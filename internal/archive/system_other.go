//go:build !unix

package archive

import (
	"io/fs"
	"math"
	"os"
)

// directoryOnly is nothing: no other system blocks when it opens a file.
const directoryOnly = 0

// fromSystem records nothing: owners, inodes and holes are those of Unix.
func (f *found) fromSystem(fs.FileInfo, bool) {}

// usedSpace takes the file system to be as large as can be: nobody has counted it.
func usedSpace(*os.File) (int64, error) { return math.MaxInt64, nil }
