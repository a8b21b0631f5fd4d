package archive

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
)

// ComparePaths orders paths as a walk meets them: entries of a directory by
// their names, bytewise, and what lies below a directory right after it.
func ComparePaths(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			switch {
			case x == '/':
				return -1
			case y == '/':
				return 1
			case x < y:
				return -1
			default:
				return 1
			}
		}
	}
	return len(a) - len(b)
}

const (
	// defaultPageNames bounds how many names of one directory are held in memory.
	// A directory with more of them is read repeatedly, once for each page.
	defaultPageNames = 256 << 10
	readNames        = 4096
	// maxHeldNames bounds what the names of all directories that a walk is in take, in bytes;
	// beyond it each of them may hold minPageBytes, which are some names of any length.
	maxHeldNames = 32 << 20
	minPageBytes = 16 << 10
	// stringBytes is what a string takes beside its bytes.
	stringBytes = 16
)

// heldBy returns what names take, in bytes.
func heldBy(names []string) int {
	size := len(names) * stringBytes
	for _, n := range names {
		size += len(n)
	}
	return size
}

// pageLimit is how many names are held at most, and how many bytes they take.
type pageLimit struct{ names, bytes int }

// fits returns how many of the names fit; one always does.
func (l pageLimit) fits(names []string) int {
	for i, n := range names {
		if l.bytes -= len(n) + stringBytes; i == l.names || l.bytes < 0 && i > 0 {
			return i
		}
	}
	return len(names)
}

// page returns the names in a directory that follow after, in ascending order,
// as many as the limit takes, and whether there are more.
func page(ctx context.Context, root *os.Root, dir, after string, limit pageLimit) (names []string, more bool, err error) {
	f, err := openDirectory(ctx, root, dir)
	if err != nil {
		return nil, false, err
	}
	defer release(f)
	size, last := 0, "" // last is that of the page, once more is set
	for {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		batch, err := f.Readdirnames(readNames)
		for _, n := range batch {
			if n > after && (!more || n < last) {
				names = append(names, n)
				size += len(n) + stringBytes
			}
		}
		if len(names) >= 2*limit.names || size >= 2*limit.bytes || err != nil {
			slices.Sort(names)
			if most := limit.fits(names); most < len(names) {
				clear(names[most:]) // They would be kept with the others.
				names, more = names[:most], true
				last = names[most-1]
			}
			size = heldBy(names)
		}
		if errors.Is(err, io.EOF) {
			return names, more, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// openDirectory fails, rather than block, when something else has taken the
// directory's place.
func openDirectory(ctx context.Context, root *os.Root, dir string) (f *os.File, err error) {
	err = WhenScarce(ctx, func() (err error) {
		f, err = root.OpenFile(dir, os.O_RDONLY|directoryOnly, 0)
		return err
	})
	return f, err
}
