package archive

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Extended attributes that hold POSIX access control lists.
const (
	AccessACL  = "system.posix_acl_access"
	DefaultACL = "system.posix_acl_default"
)

// aclEntry is one entry of a list.
type aclEntry struct {
	Tag, Permissions uint16
	ID               uint32
}

// Tags of entries.
const (
	aclOwner       = 0x01
	aclUser        = 0x02
	aclOwningGroup = 0x04
	aclGroup       = 0x08
	aclMask        = 0x10
	aclOther       = 0x20
)

// parseACL returns the entries of a list; false if it is none. The format is that of
// linux/posix_acl_xattr.h: a version, then the entries, little-endian.
func parseACL(value string) ([]aclEntry, bool) {
	const version, head, size = 2, 4, 8
	raw := []byte(value)
	if len(raw) < head || len(raw)%size != head || binary.LittleEndian.Uint32(raw) != version {
		return nil, false
	}
	list := make([]aclEntry, len(raw)/size)
	_, err := binary.Decode(raw[head:], binary.LittleEndian, list)
	return list, err == nil
}

// aclRecord returns an access control list as the record of a PAX header that star, GNU tar
// and bsdtar know.
func aclRecord(x Xattr) (record, bool) {
	key, ok := map[string]string{AccessACL: "SCHILY.acl.access", DefaultACL: "SCHILY.acl.default"}[x.Name]
	if !ok {
		return record{}, false
	}
	list, ok := parseACL(x.Value)
	if !ok {
		return record{}, false
	}
	names := map[uint16]string{aclOwner: "user", aclUser: "user", aclOwningGroup: "group", aclGroup: "group", aclMask: "mask", aclOther: "other"}
	var text []string
	for _, e := range list {
		id := ""
		if e.Tag == aclUser || e.Tag == aclGroup {
			id = fmt.Sprint(e.ID)
		}
		permissions := []byte("---")
		for i, letter := range []byte("rwx") {
			if e.Permissions&(4>>i) != 0 {
				permissions[i] = letter
			}
		}
		text = append(text, fmt.Sprintf("%s:%s:%s", names[e.Tag], id, permissions))
	}
	return record{key, strings.Join(text, ",")}, true
}

// ModeWithoutACL returns the mode to give to a file as long as it lacks its access control
// list. With one, the group's bits of a mode are a mask, that is the most that anybody named in
// the list may do, and the group itself may do less.
func ModeWithoutACL(mode fs.FileMode, all []Xattr) fs.FileMode {
	at := slices.IndexFunc(all, func(x Xattr) bool { return x.Name == AccessACL })
	if at < 0 {
		return mode
	}
	list, _ := parseACL(all[at].Value) // The group may do nothing if it can't be read.
	allowed := fs.FileMode(0)
	for _, e := range list {
		if e.Tag == aclOwningGroup {
			allowed = fs.FileMode(e.Permissions&7) << 3
		}
	}
	return mode &^ (0o070 &^ allowed)
}
