package archive

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Compression chooses whether a tar is compressed.
type Compression string

const (
	// Plain leaves a tar as it is.
	Plain Compression = "None"
	// Zstd compresses it in frames that can be read one by one.
	Zstd Compression = "Zstd"
)

// Defaults and bounds of Tar.
const (
	DefaultTargetSize   = 1 << 30
	DefaultTarLargeFile = 64 << 20
	DefaultLevel        = 3

	minTargetSize = 1 << 20
	maxTargetSize = 64 << 30
	maxLevel      = 22
	maxTarName    = 128
)

// largeDir is the directory of files stored as objects of their own, beside the
// archives, whose names hold no slash.
const largeDir = "files"

// Tar says how files become members of tar archives. Like the layout that it
// is part of it is fixed once planned: the bytes of archives depend on it.
type Tar struct {
	// Name begins the names of the archives.
	Name string `json:"name"`
	// TargetSize is what an archive is filled up to, in bytes before compression.
	TargetSize int64 `json:"targetSize"`
	// LargeFile is the size in bytes above which a file is an object of its own.
	LargeFile int64 `json:"largeFileThreshold"`
	// Compression and its Level, from 1 to 22 as the zstd tool counts them.
	Compression Compression `json:"compression"`
	Level       int         `json:"level,omitempty"`
	// Digest is the algorithm of the members' digests. It is empty in a plan of format
	// version 1, which knew SHA-256 only.
	Digest DigestAlgorithm `json:"digest,omitempty"`
}

// DigestAlgorithm is that of the members' digests.
func (t Tar) DigestAlgorithm() DigestAlgorithm { return cmp.Or(t.Digest, DigestSHA256) }

func (t Tar) validate(p Pattern) error {
	switch {
	case p == Mirror:
		return errors.New("prefix pattern Mirror cannot be used with tar: use Hash or Explicit")
	case !fileName(t.Name) || len(t.Name) > maxTarName:
		return fmt.Errorf("archive name %q must be a file name in UTF-8 of at most %d bytes", t.Name, maxTarName)
	case t.TargetSize < minTargetSize || t.TargetSize > maxTargetSize:
		return fmt.Errorf("target size %d: must be between %d and %d bytes", t.TargetSize, minTargetSize, int64(maxTargetSize))
	case t.LargeFile < 0:
		return fmt.Errorf("large file threshold %d: must not be negative", t.LargeFile)
	case t.Compression != Plain && t.Compression != Zstd:
		return fmt.Errorf("compression %q: must be %s or %s", t.Compression, Plain, Zstd)
	case t.Compression == Zstd && (t.Level < 1 || t.Level > maxLevel):
		return fmt.Errorf("compression level %d: must be between 1 and %d", t.Level, maxLevel)
	case t.Digest != "" && t.Digest != DigestCRC64NVME && t.Digest != DigestSHA256:
		return fmt.Errorf("digest %q: must be %s or %s", t.Digest, DigestCRC64NVME, DigestSHA256)
	default:
		return nil
	}
}

// fileName says that the name is one part of a key, and none that means anything else.
func fileName(name string) bool {
	return cleanRelative(name) && !strings.Contains(name, "/") && name != bookkeepingDir
}

// suffix ends the names of the archives.
func (t Tar) suffix() string {
	if t.Compression == Zstd {
		return ".tar.zst"
	}
	return ".tar"
}

// ArchiveKey is the key of the tar of an archive.
func (l Layout) ArchiveKey(prefix string, number int64) string {
	return l.under(prefix + "/" + l.inRun(fmt.Sprintf("%s-%010d%s", l.Tar.Name, number, l.Tar.suffix())))
}

// LocateArchive is the inverse of ArchiveKey. It is false for a key that no
// archive can have.
func (l Layout) LocateArchive(key string) (prefix string, number int64, ok bool) {
	if l.Tar == nil {
		return "", 0, false
	}
	p, ok := strings.CutPrefix(key, l.under(""))
	if !ok {
		return "", 0, false
	}
	prefix, name, ok := l.cutPrefix(p)
	if !ok {
		return "", 0, false
	}
	number, ok = numberInKey(name, l.inRun(l.Tar.Name+"-"), l.Tar.suffix())
	return prefix, number, ok
}

// TarKey is the key of the tar of the archive; it is false if it makes none,
// since nothing in it can be sent or all of it are objects of their own.
func (l Layout) TarKey(a Archive) (string, bool) {
	if l.Tar == nil || !slices.ContainsFunc(a.Entries, Entry.Packable) {
		return "", false
	}
	return l.ArchiveKey(a.Prefix, a.Number), true
}

// Packable says that, with packing Tar, the entry is to be a member of the tar.
func (e Entry) Packable() bool { return e.Sendable() && !e.Object }
