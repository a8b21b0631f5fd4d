package restore

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"cargoship.dev/operator/internal/archive"
)

// setIDs are the bits that run a program with the rights of its owner or group.
const setIDs = fs.ModeSetuid | fs.ModeSetgid

// modeBits are those that a restore sets.
const modeBits = fs.ModePerm | setIDs | fs.ModeSticky

// attributes are what a file or directory gets besides content and time.
type attributes struct {
	mode     fs.FileMode
	uid, gid int
	xattrs   []archive.Xattr
	// leftOut says that something is left out that nobody has asked for.
	leftOut bool
}

// safeAttribute says that an extended attribute is restored without being asked for. A manifest
// isn't signed, and the others decide on what the kernel and its modules allow.
func safeAttribute(name string) bool {
	return strings.HasPrefix(name, "user.") || name == archive.AccessACL || name == archive.DefaultACL ||
		name == "security.capability"
}

// attributesOf returns what a member is to get; xattrs are all that were archived of it.
func (r *restorer) attributesOf(m archive.Member, xattrs []archive.Xattr) attributes {
	d := attributes{mode: m.Mode, uid: m.UID, gid: m.GID, xattrs: xattrs}
	if r.options.Privileged {
		return d
	}
	if m.Kind == archive.File && m.Mode&setIDs != 0 {
		d.mode, d.leftOut = m.Mode&^setIDs, true
	}
	d.xattrs = nil
	for _, x := range xattrs {
		if safeAttribute(x.Name) {
			d.xattrs = append(d.xattrs, x)
		} else {
			d.leftOut = true
		}
	}
	return d
}

// setAttributes gives an open file or directory its owner, extended attributes and mode. The owner
// comes first, since a new one costs a file its capabilities and set-ID bits; the mode comes
// last, since it may forbid setting attributes. The error joins everything that failed.
func (r *restorer) setAttributes(f *os.File, d attributes) error {
	var failed []error
	mode := d.mode
	if r.options.SameOwner {
		if err := f.Chown(d.uid, d.gid); err != nil {
			failed = append(failed, fmt.Errorf("set owner %d:%d: %w", d.uid, d.gid, cause(err)))
			mode &^= setIDs
		}
	}
	for _, x := range d.xattrs {
		if err := setXattr(f, x); err != nil {
			failed = append(failed, fmt.Errorf("set extended attribute %q: %w", x.Name, err))
			if x.Name == archive.AccessACL {
				mode = archive.ModeWithoutACL(mode, d.xattrs)
			}
		}
	}
	if err := f.Chmod(mode); err != nil {
		failed = append(failed, fmt.Errorf("set mode %s: %w", archive.FormatMode(mode), cause(err)))
	} else if info, err := f.Stat(); err == nil && info.Mode()&modeBits != mode {
		failed = append(failed, fmt.Errorf("its mode is %s after it was set to %s", archive.FormatMode(info.Mode()), archive.FormatMode(mode)))
	}
	return errors.Join(failed...)
}

// strip takes from a new file or directory the access control lists that it has inherited.
func strip(f *os.File, d attributes) error {
	inherited, err := aclsOf(f)
	for _, name := range inherited {
		if !d.has(name) {
			err = errors.Join(err, removeXattr(f, name))
		}
	}
	return err
}

func (d attributes) has(name string) bool {
	for _, x := range d.xattrs {
		if x.Name == name {
			return true
		}
	}
	return false
}

// differs says that an open file is not dressed so. Set-ID bits that were left out may be there.
func (r *restorer) differs(f *os.File, info fs.FileInfo, d attributes) bool {
	if r.modeDiffers(info, d) {
		return true
	}
	for _, x := range d.xattrs {
		if !hasXattr(f, x) {
			return true
		}
	}
	return false
}

func (r *restorer) modeDiffers(info fs.FileInfo, d attributes) bool {
	mode := info.Mode() & modeBits
	if d.leftOut {
		mode &^= setIDs
	}
	uid, gid := ownerOf(info)
	return mode != d.mode || r.options.SameOwner && (uid != d.uid || gid != d.gid)
}

// inHeader says that extended attributes of a member are in its header in the tar only.
func inHeader(m archive.Member) bool {
	return m.Tar != nil && len(m.Tar.Attributes) > len(m.Xattrs)
}

// xattrsOf returns the extended attributes of a member, of which h is the header.
func xattrsOf(m archive.Member, h *tar.Header) []archive.Xattr {
	if !inHeader(m) {
		return m.Xattrs
	}
	return headerXattrs(h)
}

func headerXattrs(h *tar.Header) []archive.Xattr {
	var all []archive.Xattr
	for key, value := range h.PAXRecords {
		if name, ok := archive.DecodeKeyword(key); ok {
			all = append(all, archive.Xattr{Name: name, Value: value})
		}
	}
	return all
}

// sameXattrs compares the extended attributes in the header of a member with what the manifest
// says of them.
func sameXattrs(m archive.Member, h *tar.Header) error {
	there := map[string]string{}
	for _, x := range headerXattrs(h) {
		there[x.Name] = x.Value
	}
	for _, name := range m.Tar.Attributes {
		if _, ok := there[name]; !ok {
			return fmt.Errorf("it lacks the extended attribute %q of the manifest", name)
		}
	}
	if len(there) > len(m.Tar.Attributes) {
		return errors.New("it has extended attributes that the manifest does not name")
	}
	for _, x := range m.Xattrs {
		if there[x.Name] != x.Value {
			return fmt.Errorf("its extended attribute %q is not that of the manifest", x.Name)
		}
	}
	return nil
}
