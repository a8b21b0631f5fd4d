package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	// FormatVersion is the version of every bookkeeping object that this package writes.
	FormatVersion = 2
	// oldestVersion is the oldest version that it reads.
	oldestVersion = 1
)

// Outcome is the outcome of a member.
type Outcome string

const (
	// Done says that the object exists and its checksum is verified.
	Done Outcome = "Done"
	// Skipped says that there was nothing to send.
	Skipped Outcome = "Skipped"
	// Failed says that there is no object, for the reason given.
	Failed Outcome = "Failed"
)

// Manifest records the outcome of one archive.
type Manifest struct {
	// Version is FormatVersion; Encode sets it.
	Version int
	// Transfer is the transfer's UID.
	Transfer string
	Prefix   string
	Number   int64
	// Attempt counts the workers that were given the archive, from 1.
	Attempt int
	// Object holds the members that have no key of their own; nil if there are none.
	Object  *Object
	Members []Member
}

// Object is the tar of an archive.
type Object struct {
	Key string `json:"key"`
	// Size of the object in bytes.
	Size        int64       `json:"size"`
	Compression Compression `json:"compression"`
	// ETag and Checksum are those of the object, as S3 gave them.
	ETag              string `json:"etag,omitempty"`
	Checksum          string `json:"checksum,omitempty"`
	ChecksumAlgorithm string `json:"checksumAlgorithm,omitempty"`
}

// Member is one entry of an archive.
type Member struct {
	Path string
	// Key is that of the member's own object; it is empty when there is none.
	Key string
	// Kind, Link, UID and GID are those of the entry.
	Kind     Kind
	Link     string
	UID, GID int
	// Tar is where the member is in the archive's object; nil if it isn't.
	Tar     *Place
	Size    int64
	Mode    fs.FileMode
	ModTime time.Time
	// ETag and Checksum are those of the object, as S3 gave them.
	ETag, Checksum, ChecksumAlgorithm string
	Outcome                           Outcome
	// Kept says that the object already existed unchanged, and nothing was sent.
	Kept bool
	// Reason is a machine-readable word and Message a sentence, unless Done.
	Reason, Message string
	// Xattrs are the extended attributes. Those of a member of the tar may be in its header
	// only, where Tar names them.
	Xattrs []Xattr
	// NotKept names extended attributes of the file that are not archived.
	NotKept []string
}

// Place is where a member is in the archive's object.
type Place struct {
	// Offset and Length are those of the member in the tar, headers and padding
	// included. Data is where its content begins; that of a sparse member lacks the holes.
	Offset, Length, Data int64
	// Frame is the range of the object to fetch.
	Frame Range
	// Digest is that of a file.
	Digest ContentDigest
	Sparse bool
	// Attributes name the extended attributes in the tar.
	Attributes []string
}

// Target returns the target of a hard link of the manifest, with the link's path; its
// Link is the path of the target in the tar.
func (m Manifest) Target(link Member) (Member, bool) {
	at := slices.IndexFunc(m.Members, func(f Member) bool { return f.Path == link.Link && f.Kind == File && f.Outcome == Done })
	if at < 0 {
		return Member{}, false
	}
	target := m.Members[at]
	target.Path, target.Link = link.Path, link.Link
	return target, true
}

// Holds says that the manifest's tar holds exactly what another archive would pack. Files
// are compared by size and time; extended attributes are compared by Source.SameAttributes.
func (m Manifest) Holds(a Archive) bool {
	if m.Object == nil || len(m.Members) != len(a.Entries) {
		return false
	}
	for i, e := range a.Entries {
		f := m.Members[i]
		same := f.Path == e.Path && f.Kind == e.Kind && f.Link == e.Link && f.Size == e.Size &&
			f.ModTime.Equal(e.ModTime) && f.Mode == e.Mode && f.UID == e.UID && f.GID == e.GID
		if !same || e.Packable() != (f.Tar != nil) || e.Packable() && f.Outcome != Done {
			return false
		}
	}
	return true
}

type wireHead struct {
	Version  int     `json:"version"`
	Transfer string  `json:"transfer"`
	Prefix   string  `json:"prefix"`
	Number   int64   `json:"number"`
	Attempt  int     `json:"attempt"`
	Object   *Object `json:"object,omitempty"`
}

type wireMember struct {
	wireName
	Key  string `json:"key,omitempty"`
	Size int64  `json:"size"`
	Mode string `json:"mode"`
	wireTime
	wireTar
	Tar               *wirePlace `json:"tar,omitempty"`
	ETag              string     `json:"etag,omitempty"`
	Checksum          string     `json:"checksum,omitempty"`
	ChecksumAlgorithm string     `json:"checksumAlgorithm,omitempty"`
	Outcome           Outcome    `json:"outcome"`
	Kept              bool       `json:"kept,omitempty"`
	Reason            string     `json:"reason,omitempty"`
	Message           string     `json:"message,omitempty"`

	Xattrs  []wireXattr `json:"xattrs,omitempty"`
	NotKept []string    `json:"xattrsNotKept,omitempty"`
}

func toWireMember(m Member) wireMember {
	return wireMember{
		toWireName(m.Path), m.Key, m.Size, FormatMode(m.Mode), toWireTime(m.ModTime),
		toWireTar(m.Kind, m.Link, m.UID, m.GID), toWirePlace(m.Tar), m.ETag, m.Checksum, m.ChecksumAlgorithm, m.Outcome, m.Kept, m.Reason, m.Message,
		toWireXattrs(m.Xattrs), m.NotKept,
	}
}

// recordLevel is that of zstd for JSON records. The next level makes lists of files no smaller,
// and manifests, of which much is digests, larger; it takes twice the time.
const recordLevel = zstd.SpeedFastest

// manifestWindow is how far back, in bytes, the compressor looks: those who read the manifests of
// all prefixes at once keep as much of each.
const manifestWindow = 256 << 10

// Encode returns the manifest as compressed JSON. It is compressed member by member, since
// as a whole it would take several times its size.
func (m Manifest) Encode() ([]byte, error) {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(recordLevel),
		zstd.WithWindowSize(manifestWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("start zstd encoder: %w", err)
	}
	if err := errors.Join(m.write(w), w.Close()); err != nil {
		return nil, fmt.Errorf("encode manifest %d of prefix %q: %w", m.Number, m.Prefix, err)
	}
	return out.Bytes(), nil
}

// write writes a wireHead and its members as JSON.
func (m Manifest) write(w io.Writer) error {
	head, err := json.Marshal(wireHead{FormatVersion, m.Transfer, m.Prefix, m.Number, m.Attempt, m.Object})
	if err != nil {
		return err
	}
	// The members go in front of the brace that ends it.
	text := slices.Concat(head[:len(head)-1], []byte(`,"members":[`))
	for i, f := range m.Members {
		member, err := json.Marshal(toWireMember(f))
		if err != nil {
			return err
		}
		if i > 0 {
			text = append(text, ',')
		}
		if _, err := w.Write(append(text, member...)); err != nil {
			return err
		}
		text = text[:0]
	}
	_, err = w.Write(append(text, "]}"...))
	return err
}

// decodeVersioned reads JSON into v, one field of which is version.
func decodeVersioned(raw []byte, v any, version *int) error {
	if len(raw) > maxPlainJSON {
		return fmt.Errorf("%d bytes exceed the maximum that this program writes", len(raw))
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("unexpected JSON: %w", err)
	}
	if *version < oldestVersion || *version > FormatVersion {
		return fmt.Errorf("unknown version %d; this program reads versions %d to %d", *version, oldestVersion, FormatVersion)
	}
	return nil
}

// Index describes a complete transfer: what the bucket holds of it.
type Index struct {
	// Version is FormatVersion; Encode sets it.
	Version int `json:"version"`
	// Transfer is the transfer's UID, Name and Namespace its names.
	Transfer  string `json:"transfer"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Written is when the transfer ended.
	Written time.Time `json:"written"`
	// Partial: the transfer was stopped before all of the source was planned or sent.
	Partial bool `json:"partial,omitempty"`
	// Layout determines the keys of the files.
	Layout Layout `json:"layout"`
	// Prefixes locate the manifests and sum up their contents.
	Prefixes []IndexedPrefix `json:"prefixes"`
	// Paths is the path index; nil in runs that have none.
	Paths *PathIndex `json:"paths,omitempty"`
}

// IndexedPrefix describes what the bucket holds of one prefix.
type IndexedPrefix struct {
	Name string `json:"name"`
	// ManifestPrefix is what the keys of its manifests begin with.
	ManifestPrefix string `json:"manifestPrefix"`
	// Archives, Files and Bytes are as planned; Manifests counts those that exist.
	Archives  int64 `json:"archives"`
	Manifests int64 `json:"manifests"`
	Files     int64 `json:"files"`
	Bytes     int64 `json:"bytes"`
	// Digests is the SHA-256 of the list of its manifests' digests, in hexadecimal; empty
	// in an index of an earlier release.
	Digests string `json:"digests,omitempty"`
	// Outcomes counts files and bytes by outcome; nil in an index of an earlier release.
	Outcomes *Tally `json:"outcomes,omitempty"`
}

// Encode returns the index as JSON.
func (i Index) Encode() ([]byte, error) {
	i.Version = FormatVersion
	raw, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode index: %w", err)
	}
	return append(raw, '\n'), nil
}

// DecodeIndex reads what Encode has written.
func DecodeIndex(data []byte) (Index, error) {
	var i Index
	if err := decodeVersioned(data, &i, &i.Version); err != nil {
		return Index{}, fmt.Errorf("decode index: %w", err)
	}
	return i, nil
}
