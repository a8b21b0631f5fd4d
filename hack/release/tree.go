package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// entry is a file or, if its name ends in a slash, a directory of an archive.
type entry struct {
	name string
	mode int64
	// owner is user and group.
	owner int
	// content is that of a file, or else it is in the file at path.
	content []byte
	path    string
}

func (e entry) isDir() bool { return strings.HasSuffix(e.name, "/") }

func (e entry) open() (io.ReadCloser, int64, error) {
	if e.path == "" {
		return io.NopCloser(strings.NewReader(string(e.content))), int64(len(e.content)), nil
	}
	file, err := os.Open(e.path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// sorted orders entries by name, adds the directories that they are in, and so makes the
// bytes of an archive independent of the order in which entries were found.
func sorted(entries []entry) []entry {
	all := slices.Clone(entries)
	has := map[string]bool{}
	for _, e := range entries {
		has[e.name] = true
	}
	for _, e := range entries {
		for dir := path.Dir(strings.TrimSuffix(e.name, "/")); dir != "."; dir = path.Dir(dir) {
			if name := dir + "/"; !has[name] {
				has[name] = true
				all = append(all, entry{name: name, mode: 0o755})
			}
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all
}

// writeTar writes entries, with all their directories, as of one time.
func writeTar(w io.Writer, entries []entry, at time.Time) error {
	out := tar.NewWriter(w)
	for _, e := range sorted(entries) {
		if err := writeTarEntry(out, e, at); err != nil {
			return fmt.Errorf("archive %s: %w", e.name, err)
		}
	}
	return out.Close()
}

func writeTarEntry(out *tar.Writer, e entry, at time.Time) error {
	header := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.owner, Gid: e.owner, ModTime: at, Typeflag: tar.TypeDir}
	if e.isDir() {
		return out.WriteHeader(header)
	}
	content, size, err := e.open()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	header.Typeflag, header.Size = tar.TypeReg, size
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return err
}

// writeTarGzip writes what writeTar does, compressed.
func writeTarGzip(w io.Writer, entries []entry, at time.Time) error {
	out, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := writeTar(out, entries, at); err != nil {
		return err
	}
	return out.Close()
}

// writeZip writes files as of one time.
func writeZip(w io.Writer, entries []entry, at time.Time) error {
	out := zip.NewWriter(w)
	for _, e := range entries {
		if err := writeZipEntry(out, e, at); err != nil {
			return fmt.Errorf("archive %s: %w", e.name, err)
		}
	}
	return out.Close()
}

func writeZipEntry(out *zip.Writer, e entry, at time.Time) error {
	header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at}
	header.SetMode(os.FileMode(e.mode)) //nolint:gosec // It is a mode of ours.
	w, err := out.CreateHeader(header)
	if err != nil {
		return err
	}
	content, _, err := e.open()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	_, err = io.Copy(w, content)
	return err
}
