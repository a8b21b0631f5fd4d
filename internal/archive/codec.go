package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"
	"unicode/utf8"
)

// wireName holds a name that need not be UTF-8, which JSON strings must be.
// It is embedded with the text in one field, and in base64 in another.
type wireName struct {
	Path       string `json:"path,omitempty"`
	PathBase64 []byte `json:"pathBase64,omitempty"`
}

func toWireName(s string) wireName {
	if utf8.ValidString(s) {
		return wireName{Path: s}
	}
	return wireName{PathBase64: []byte(s)}
}

// name returns the name; an error unless it is a path below the source, in the one way there is.
func (w wireName) name() (string, error) {
	p := cmp.Or(w.Path, string(w.PathBase64))
	switch {
	case w.Path != "" && len(w.PathBase64) > 0:
		return "", fmt.Errorf("duplicate path %q", w.Path)
	case p == "":
		return "", fmt.Errorf("a path is missing")
	case !local(p):
		return "", fmt.Errorf("path %q does not lie below the source", p)
	default:
		return p, nil
	}
}

// wireTime is a time as seconds and nanoseconds since 1970: file systems know
// years that RFC 3339 does not.
type wireTime struct {
	Sec  int64 `json:"mtime"`
	Nsec int32 `json:"mtimeNs,omitempty"`
}

func toWireTime(t time.Time) wireTime { return wireTime{t.Unix(), int32(t.Nanosecond())} }

func (w wireTime) time() time.Time { return time.Unix(w.Sec, int64(w.Nsec)) }

// wireTar holds what only entries of a tar have.
type wireTar struct {
	Kind       Kind   `json:"kind,omitempty"`
	Link       string `json:"link,omitempty"`
	LinkBase64 []byte `json:"linkBase64,omitempty"`
	UID        int    `json:"uid,omitempty"`
	GID        int    `json:"gid,omitempty"`
}

func toWireTar(kind Kind, link string, uid, gid int) wireTar {
	w := wireTar{Kind: kind, UID: uid, GID: gid}
	if utf8.ValidString(link) {
		w.Link = link
	} else {
		w.LinkBase64 = []byte(link)
	}
	return w
}

func (w wireTar) link() string {
	if w.Link != "" {
		return w.Link
	}
	return string(w.LinkBase64)
}

// consistent says that links, and only they, have a target.
func (w wireTar) consistent() bool {
	switch w.Kind {
	case File, Directory:
		return w.link() == ""
	case Symlink, HardLink:
		return w.link() != "" && (w.Link == "" || len(w.LinkBase64) == 0)
	default:
		return false
	}
}

// wirePlace is a Place in JSON. A file has one digest, in the field of its algorithm.
type wirePlace struct {
	Offset    int64        `json:"offset"`
	Length    int64        `json:"length"`
	Data      int64        `json:"data"`
	Frame     Range        `json:"frame"`
	CRC64NVME string       `json:"crc64nvme,omitempty"`
	SHA256    string       `json:"sha256,omitempty"`
	DigestOf  DigestScheme `json:"digestOf,omitempty"`
	// SHA256Of is DigestOf in format version 1.
	SHA256Of   DigestScheme `json:"sha256Of,omitempty"`
	Sparse     bool         `json:"sparse,omitempty"`
	Attributes []string     `json:"xattrs,omitempty"`
}

func toWirePlace(p *Place) *wirePlace {
	if p == nil {
		return nil
	}
	w := &wirePlace{
		Offset: p.Offset, Length: p.Length, Data: p.Data, Frame: p.Frame,
		DigestOf: p.Digest.Of, Sparse: p.Sparse, Attributes: p.Attributes,
	}
	if p.Digest.Algorithm == DigestSHA256 {
		w.SHA256 = p.Digest.Value
	} else {
		w.CRC64NVME = p.Digest.Value
	}
	return w
}

// place returns the place; an error if it has more than one digest.
func (w *wirePlace) place() (*Place, error) {
	if w == nil {
		return nil, nil
	}
	p := &Place{Offset: w.Offset, Length: w.Length, Data: w.Data, Frame: w.Frame, Sparse: w.Sparse, Attributes: w.Attributes}
	of := cmp.Or(w.DigestOf, w.SHA256Of)
	switch {
	case w.CRC64NVME != "" && w.SHA256 != "":
		return nil, errors.New("it has two digests")
	case w.SHA256 != "":
		p.Digest = ContentDigest{DigestSHA256, of, w.SHA256}
	case w.CRC64NVME != "":
		p.Digest = ContentDigest{DigestCRC64NVME, of, w.CRC64NVME}
	}
	return p, nil
}

// keptModeBits are the bits of a mode that are recorded.
const keptModeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// FormatMode writes a mode the way chmod takes it, in octal.
func FormatMode(m fs.FileMode) string {
	return fmt.Sprintf("%04o", octalMode(m))
}

// octalMode returns a mode as the bits that chmod takes.
func octalMode(m fs.FileMode) int64 {
	bits := int64(m.Perm())
	for _, b := range specialBits() {
		if m&b.mode != 0 {
			bits |= int64(b.octal)
		}
	}
	return bits
}

// ParseMode reads what FormatMode has written.
func ParseMode(s string) (fs.FileMode, error) {
	bits, err := strconv.ParseUint(s, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("mode %q is not a four-digit octal number", s)
	}
	m := fs.FileMode(bits) & fs.ModePerm
	for _, b := range specialBits() {
		if bits&b.octal != 0 {
			m |= b.mode
		}
	}
	return m, nil
}

type modeBit struct {
	mode  fs.FileMode
	octal uint64
}

func specialBits() [3]modeBit {
	return [3]modeBit{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}}
}
