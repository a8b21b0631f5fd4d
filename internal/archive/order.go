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
)

// page returns the names in a directory that follow after, in ascending order,
// at most limit of them, and whether there are more.
func page(ctx context.Context, root *os.Root, dir, after string, limit int) (names []string, more bool, err error) {
	f, err := openDirectory(ctx, root, dir)
	if err != nil {
		return nil, false, err
	}
	defer release(f)
	for {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		batch, err := f.Readdirnames(readNames)
		for _, n := range batch {
			if n > after && (!more || n < names[limit-1]) {
				names = append(names, n)
			}
		}
		if len(names) >= 2*limit || err != nil {
			slices.Sort(names)
			if len(names) > limit {
				names, more = names[:limit], true
			}
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
