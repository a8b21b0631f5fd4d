package archive

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Xattr is an extended attribute.
type Xattr struct{ Name, Value string }

// keptAttribute says that an extended attribute belongs to the data: those of
// users, of administrators, access control lists, and what lets a program run with
// privileges.
func keptAttribute(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "trusted.") ||
		name == "security.capability" || name == AccessACL || name == DefaultACL
}

// AttributeKeyword is what the keyword of an extended attribute begins with in a PAX header; GNU
// tar, bsdtar and star know it.
const AttributeKeyword = "SCHILY.xattr."

// encodeKeyword returns the keyword of an extended attribute. One can't hold the character
// that ends it, so GNU tar encodes that and the escape character.
func encodeKeyword(name string) string {
	return AttributeKeyword + strings.NewReplacer("%", "%25", "=", "%3D").Replace(name)
}

// DecodeKeyword returns the name of the extended attribute that the keyword of a PAX header
// is for; false if it is for none.
func DecodeKeyword(keyword string) (name string, ok bool) {
	name, ok = strings.CutPrefix(keyword, AttributeKeyword)
	return strings.NewReplacer("%25", "%", "%3D", "=").Replace(name), ok
}

// xattrRecords returns extended attributes as records of a PAX header.
func xattrRecords(all []Xattr) []record {
	var list []record
	for _, x := range all {
		list = append(list, record{encodeKeyword(x.Name), x.Value})
		if text, ok := aclRecord(x); ok {
			list = append(list, text)
		}
	}
	sortRecords(list)
	return list
}

func attributeNames(all []Xattr) []string {
	var names []string
	for _, x := range all {
		names = append(names, x.Name)
	}
	return names
}

// Bounds, in bytes, of extended attributes.
const (
	// maxHeaderXattrs bounds those of a member of a tar as records: archive/tar refuses an extended
	// header above 1 MiB, of which this leaves some to paths.
	maxHeaderXattrs = 960 << 10
	// maxMemberXattrs and maxManifestXattrs bound those whose values a manifest holds: of a member,
	// and, as JSON, of all together.
	maxMemberXattrs   = 64 << 10
	maxManifestXattrs = 16 << 20
	// maxManifestNames bounds the names in a manifest that have no value there.
	maxManifestNames = 12 << 20
)

// Bounds of what is read, which anybody may have written: names of extended attributes of a member,
// of which Linux lists 64 KiB and a manifest may have each twice, and of a manifest.
const (
	maxMemberNames = 32 << 10
	maxNames       = 1 << 20
)

// moreNames stands in Member.NotKept for those that a manifest has no room for.
const moreNames = "..."

// xattrBudget is the room, in bytes, that a manifest has left for extended attributes.
type xattrBudget struct{ names, values int }

func newXattrBudget() xattrBudget { return xattrBudget{maxManifestNames, maxManifestXattrs} }

// nameSize is what a name takes in a manifest, and what is around it. So names that fit are also
// fewer than maxNames.
func nameSize(name string) int {
	text, _ := json.Marshal(name)
	return len(text) + 32
}

func namesSize(names []string) (size int) {
	for _, name := range names {
		size += nameSize(name)
	}
	return size
}

// fitting divides extended attributes into those whose names fit, and the names of the others.
func fitting(all []Xattr, room int) (kept []Xattr, others []string) {
	for _, x := range all {
		if size := nameSize(x.Name); size <= room {
			room -= size
			kept = append(kept, x)
		} else {
			others = append(others, x.Name)
		}
	}
	return kept, others
}

// takeNames takes the room for names, and returns those that there is room for.
func (b *xattrBudget) takeNames(names []string) []string {
	for i, name := range names {
		size := nameSize(name)
		if size > b.names {
			return append(slices.Clone(names[:i]), moreNames)
		}
		b.names -= size
	}
	return names
}

// takeValues takes the room for the attributes of a member; false if there is none.
func (b *xattrBudget) takeValues(all []Xattr) bool {
	var raw, size int
	for _, x := range all {
		raw += len(x.Name) + len(x.Value)
		size += nameSize(x.Name) + base64.StdEncoding.EncodedLen(len(x.Value))
	}
	if raw > maxMemberXattrs || size > b.values {
		return false
	}
	b.values -= size
	return true
}

// headerSize is what an attribute takes of the extended header of a member.
func headerSize(x Xattr) (size int) {
	for _, r := range xattrRecords([]Xattr{x}) {
		size += len(r.key) + len(r.value) + len("1048576 =\n")
	}
	return size
}

// BoundXattrs leaves out of the members of one archive the extended attributes that are
// too large for a manifest. The tar holds those of its members nevertheless, and the packer sees to
// it that there is room for their names; those of an object are not kept.
func BoundXattrs(members []Member) {
	room := newXattrBudget()
	for _, m := range members {
		if m.Tar != nil {
			room.names -= namesSize(m.Tar.Attributes)
		}
	}
	for i := range members {
		m := &members[i]
		if !room.takeValues(m.Xattrs) {
			if m.Tar == nil {
				m.NotKept = append(m.NotKept, attributeNames(m.Xattrs)...)
			}
			m.Xattrs = nil
		}
		m.NotKept = room.takeNames(m.NotKept)
	}
}

// wireXattr is an Xattr in JSON. Its value is in base64.
type wireXattr struct {
	Name       string `json:"name,omitempty"`
	NameBase64 []byte `json:"nameBase64,omitempty"`
	Value      []byte `json:"value"`
}

func toWireXattrs(all []Xattr) []wireXattr {
	var list []wireXattr
	for _, x := range all {
		w := wireXattr{Name: x.Name, Value: []byte(x.Value)}
		if !utf8.ValidString(x.Name) {
			w.Name, w.NameBase64 = "", []byte(x.Name)
		}
		list = append(list, w)
	}
	return list
}

func fromWireXattrs(all []wireXattr) ([]Xattr, error) {
	var list []Xattr
	for _, w := range all {
		x := Xattr{w.Name, string(w.Value)}
		if x.Name == "" {
			x.Name = string(w.NameBase64)
		}
		if x.Name == "" || strings.ContainsRune(x.Name, 0) {
			return nil, fmt.Errorf("invalid name %q of an extended attribute", x.Name)
		}
		list = append(list, x)
	}
	return list, nil
}
