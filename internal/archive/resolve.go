package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

const (
	// resolveFiles bounds the files of a source that is measured by a walk.
	resolveFiles = 100_000

	minAutomaticCount = 4
	maxAutomaticCount = 16
	bytesPerPrefix    = 64 << 30
)

// Resolve finds the prefixes of a layout: the top-level directories for Mirror,
// a number that suits the amount of data for Hash. It returns a resolved layout
// as it is.
func (s *Source) Resolve(ctx context.Context, l Layout, include, exclude []string) (Layout, error) {
	if err := l.Validate(); err != nil {
		return l, err
	}
	f, err := newFilter(include, exclude)
	if err != nil || l.Resolved() {
		return l, err
	}
	if l.Pattern == Hash {
		size, err := s.measure(ctx, include, exclude)
		l.Count = automaticCount(size)
		return l, err
	}
	l.Names, err = s.mirrorNames(ctx, f, l.Count)
	return l, err
}

// automaticCount is the power of two that gives each prefix about 64 GiB,
// within bounds that keep several servers of a destination busy without
// scattering a small transfer.
func automaticCount(size int64) int {
	n := minAutomaticCount
	for n < maxAutomaticCount && int64(n) < size/bytesPerPrefix {
		n *= 2
	}
	return n
}

// measure sums the sizes of the files in bytes, or returns what is in use on their file
// system: where files are many, or that is too little to make a difference.
func (s *Source) measure(ctx context.Context, include, exclude []string) (int64, error) {
	used, unknown := s.usedSpace(ctx)
	// File systems that keep no account say that nothing is in use.
	if unknown == nil && used > 0 && automaticCount(used) == minAutomaticCount {
		return used, nil
	}
	size, err := s.sumSizes(ctx, include, exclude, resolveFiles)
	if errors.Is(err, errTooMany) {
		return used, unknown
	}
	return size, err
}

var errTooMany = errors.New("the source has too many files to be measured")

// sumSizes sums the sizes of the files in bytes. The error is errTooMany above most files.
func (s *Source) sumSizes(ctx context.Context, include, exclude []string, most int64) (size int64, err error) {
	var files int64
	o := WalkOptions{Include: include, Exclude: exclude, Layout: Layout{Pattern: Hash, Count: 1}}
	_, err = s.Walk(ctx, o, func(a Archive) error {
		files += a.Files()
		size += a.Bytes()
		if files > most {
			return errTooMany
		}
		return nil
	})
	return size, err
}

// usedSpace is how many bytes of the source's file system are in use.
func (s *Source) usedSpace(ctx context.Context) (int64, error) {
	dir, err := openDirectory(ctx, s.root, ".")
	if err != nil {
		return 0, fmt.Errorf("open source: %w", err)
	}
	defer release(dir)
	used, err := usedSpace(dir)
	if err != nil {
		return 0, fmt.Errorf("measure the file system of the source: %w", err)
	}
	return used, nil
}

// mirrorNames returns the prefixes of a Mirror layout: one for the files at the
// root, one for each of the first count-1 directories, one for all others.
// With a count of 1, a single one takes everything.
func (s *Source) mirrorNames(ctx context.Context, f filter, count int) ([]string, error) {
	if count == 1 {
		return []string{RestPrefix}, nil
	}
	if count == 0 {
		count = defaultMirrorCount
	}
	own, err := s.topDirectories(ctx, f, min(count, MaxPrefixes-1)-1)
	if err != nil {
		return nil, fmt.Errorf("list source: %w", err)
	}
	return slices.Concat([]string{RootPrefix}, own, []string{RestPrefix}), nil
}

// topDirectories returns the first directories of the root, in order, that can
// name a prefix.
func (s *Source) topDirectories(ctx context.Context, f filter, limit int) ([]string, error) {
	dir, err := openDirectory(ctx, s.root, ".")
	if err != nil {
		return nil, err
	}
	defer release(dir)
	var names []string
	for {
		batch, err := dir.ReadDir(readNames)
		for _, e := range batch {
			n := e.Name()
			if e.IsDir() && n != RestPrefix && utf8.ValidString(n) && !f.excludes(n) && (f.includes(n) || f.reaches(n)) {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		names = names[:min(limit, len(names))]
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
