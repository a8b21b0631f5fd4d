package archive

import (
	"fmt"
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

// Bounds, in bytes, of the extended attributes whose values a manifest holds: of a member,
// and of all together.
const (
	maxMemberXattrs   = 64 << 10
	maxManifestXattrs = 16 << 20
)

// BoundXattrs leaves out of the members of one archive the extended attributes that are
// too large for a manifest. The tar holds those of its members nevertheless; those of an object
// are not kept.
func BoundXattrs(members []Member) {
	total := 0
	for i := range members {
		m := &members[i]
		size := 0
		for _, x := range m.Xattrs {
			size += len(x.Name) + len(x.Value)
		}
		if size <= maxMemberXattrs && total+size <= maxManifestXattrs {
			total += size
			continue
		}
		if m.Tar == nil {
			m.NotKept = append(m.NotKept, attributeNames(m.Xattrs)...)
		}
		m.Xattrs = nil
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
