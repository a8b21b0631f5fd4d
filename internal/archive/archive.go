package archive

import (
	"io/fs"
	"math"
	"time"
)

// Reasons why an entry is skipped. A skipped entry is not a failure: it has no
// content to store, or lies outside the source.
const (
	ReasonSocket            = "Socket"
	ReasonNamedPipe         = "NamedPipe"
	ReasonDevice            = "Device"
	ReasonDanglingLink      = "DanglingLink"
	ReasonLinkOutsideSource = "LinkOutsideSource"
	ReasonLinkToDirectory   = "LinkToDirectory"
)

// Reasons why a file fails.
const (
	// ReasonUnreadable says that the file or directory cannot be opened or read.
	ReasonUnreadable = "Unreadable"
	// ReasonChanged says that size or modification time differ from the plan.
	ReasonChanged = "Changed"
	// ReasonVanished says that the file existed when planned and no longer does.
	ReasonVanished = "Vanished"
	// ReasonExcluded says that the inventory lists a file that the patterns exclude.
	ReasonExcluded = "Excluded"
	// ReasonNameNotUTF8 says that the name is not UTF-8, which every object key is.
	ReasonNameNotUTF8 = "NameNotUTF8"
	// ReasonKeyTooLong says that the key would exceed MaxKeyBytes.
	ReasonKeyTooLong = "KeyTooLong"
	// ReasonPathTooLong says that the path of a directory is too long; nothing in it is archived.
	ReasonPathTooLong = "PathTooLong"
	// ReasonKeyReserved says that a part of the key would be the name of the bookkeeping.
	ReasonKeyReserved = "KeyReserved"
)

// MaxKeyBytes is the longest object key, in bytes of UTF-8, that S3 takes.
const MaxKeyBytes = 1024

// Kind says what an entry is. With packing Objects every entry counts as a file.
type Kind string

const (
	// File is a regular file, or with packing Objects any entry.
	File Kind = ""
	// Directory, Symlink and HardLink are members of a tar that have no content.
	Directory Kind = "Directory"
	// Symlink leads to Link, which may be anything.
	Symlink Kind = "Symlink"
	// HardLink is a hard link to the file at the path Link, which comes earlier in
	// the same archive.
	HardLink Kind = "HardLink"
)

// Entry is a file of the source as the walk found it, or an entry without content
// to send.
type Entry struct {
	// Path is relative to the source, separated by slashes. Its bytes are those
	// of the file system and need not be UTF-8.
	Path string
	// Size in bytes and ModTime are those of the content: of the target, for a link.
	Size    int64
	ModTime time.Time
	// Mode holds the permission, set-ID and sticky bits.
	Mode fs.FileMode
	// UID and GID are the owner.
	UID, GID int
	// Kind and Link, the target of a link, are set with packing Tar only; so is
	// Object, which makes a large file an object of its own.
	Kind   Kind
	Link   string
	Object bool
	// Stored is the bytes allocated on disk if fewer than Size, as for a file with
	// holes; otherwise 0. It is set with Tar only.
	Stored int64
	// Skipped or Failed, at most one of them, is the reason why the entry is not sent.
	Skipped, Failed string
}

// Sendable says that the entry is a file to be sent.
func (e Entry) Sendable() bool { return e.Skipped == "" && e.Failed == "" }

// Archive is the unit of assignment: entries of one prefix that are sent together.
type Archive struct {
	Prefix string
	// Number counts the archives of the prefix from 0.
	Number  int64
	Entries []Entry
}

// Bytes sums the sizes of the files to be sent. Sparse files may be of any size: a sum
// that no int64 holds is the largest that does.
func (a Archive) Bytes() int64 {
	var sum int64
	for _, e := range a.Entries {
		if e.Sendable() {
			sum += min(e.Size, math.MaxInt64-sum)
		}
	}
	return sum
}

// Files counts the entries: files to be sent, skipped and failed ones alike.
func (a Archive) Files() int64 { return int64(len(a.Entries)) }

// Totals sums up a walk.
type Totals struct {
	Archives int64
	// Files counts every entry; Skipped and Failed those among them that are not sent.
	Files, Skipped, Failed int64
	// Bytes sums the sizes of the files to be sent.
	Bytes int64
	// Directories counts the directories read.
	Directories int64
}

func (t *Totals) add(a Archive) {
	t.Archives++
	for _, e := range a.Entries {
		t.Files++
		switch {
		case e.Skipped != "":
			t.Skipped++
		case e.Failed != "":
			t.Failed++
		default:
			t.Bytes += e.Size
		}
	}
}
