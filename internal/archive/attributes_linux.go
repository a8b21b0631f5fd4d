package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// attributes returns the extended attributes of an open file that are kept, by name,
// and the names of the others. What the header of a member has no room for is not kept.
func attributes(f *os.File) (kept []Xattr, others []string, err error) {
	names, err := listXattrs(int(f.Fd()))
	if err != nil {
		return nil, nil, fmt.Errorf("list extended attributes: %w", err)
	}
	slices.Sort(names)
	room := maxHeaderXattrs
	for _, name := range names {
		if !keptAttribute(name) {
			others = append(others, name)
			continue
		}
		value, err := sized(func(buf []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read extended attribute %q: %w", name, err)
		}
		x := Xattr{name, string(value)}
		if size := headerSize(x); size <= room {
			room -= size
			kept = append(kept, x)
		} else {
			others = append(others, name)
		}
	}
	return kept, others, nil
}

func listXattrs(fd int) ([]string, error) {
	names, err := sized(func(buf []byte) (int, error) { return unix.Flistxattr(fd, buf) })
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) {
		return nil, nil
	}
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(names), "\x00"), "\x00"), nil
}

// sized asks for the size of a value, then for the value, and again should it
// have grown between.
func sized(get func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := get(nil)
		if n <= 0 || err != nil {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = get(buf)
		if errors.Is(err, unix.ERANGE) {
			continue
		}
		return buf[:max(n, 0)], err
	}
}

// changeTime returns when anything of a file changed last, which nobody can set back as its
// modification time; zero if that is not known.
func changeTime(info fs.FileInfo) time.Time {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Time{}
	}
	return time.Unix(st.Ctim.Unix())
}

// dataExtents returns where a file has content, and whether it has holes. A
// file that fills the space it takes is not asked about them.
func dataExtents(ctx context.Context, f *os.File, info fs.FileInfo) ([]Extent, bool, error) {
	size := info.Size()
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Blocks*statBlock >= size {
		return wholeFile(size), false, nil
	}
	list := extentList{size: size}
	for at := int64(0); at < size; {
		start, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
			// This file system keeps no account of holes.
			return wholeFile(size), false, nil
		}
		if err == nil {
			at, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, false, err
		}
		if start < size {
			list.add(Extent{start, min(at, size) - start})
		}
	}
	extents, sparse := list.extents()
	return extents, sparse, nil
}
