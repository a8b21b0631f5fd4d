package archive

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"cargoship.dev/operator/test/kit/privileged"
)

// acl is an access control list for the owner (rw), user 1234 (rw), the owning group (r) and
// a mask of rw: the mode is 0660, and the group may only read.
func acl() string {
	out := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, permissions uint16
		id               uint32
	}{{1, 6, 1<<32 - 1}, {2, 6, 1234}, {4, 4, 1<<32 - 1}, {0x10, 6, 1<<32 - 1}, {0x20, 0, 1<<32 - 1}} {
		out = binary.LittleEndian.AppendUint16(out, e.tag)
		out = binary.LittleEndian.AppendUint16(out, e.permissions)
		out = binary.LittleEndian.AppendUint32(out, e.id)
	}
	return string(out)
}

func setXattr(tb testing.TB, path, name, value string) {
	tb.Helper()
	if err := unix.Setxattr(path, name, []byte(value), 0); err != nil {
		tb.Fatalf("set %s of %s: %v", name, path, err)
	}
}

// xattrsOf returns the extended attributes of a file by name.
func xattrsOf(tb testing.TB, path string) map[string]string {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer release(f)
	names, err := listXattrs(int(f.Fd()))
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string]string{}
	for _, name := range names {
		value, err := sized(func(buf []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), name, buf) })
		if err != nil {
			tb.Fatal(err)
		}
		all[name] = string(value)
	}
	return all
}

// An access control list comes back with GNU tar, and a program that knows none gives no
// more than there was.
func TestAccessControlListsGiveNoMoreThanThereWas(t *testing.T) {
	dir := t.TempDir()
	writeContent(t, dir, "shared", []byte("x"))
	setXattr(t, filepath.Join(dir, "shared"), AccessACL, acl())
	setXattr(t, filepath.Join(dir, "shared"), "user.a=b%3D", "odd")
	s := openSource(t, dir)
	l := tarLayout(Plain)
	a := one(t, s, l)
	object, packed := pack(t, s, l, a)
	want := map[string]string{AccessACL: acl(), "user.a=b%3D": "odd"}
	got := map[string]string{}
	for _, x := range packed[0].Xattrs {
		got[x.Name] = x.Value
	}
	if diff := cmp.Diff(want, got); diff != "" || len(packed[0].NotKept) > 0 {
		t.Errorf("packed (-want +got):\n%s, not kept: %q", diff, packed[0].NotKept)
	}
	file := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(file, object, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		arguments []string
		xattrs    map[string]string
		mode      fs.FileMode
	}{
		{[]string{"tar", "--acls", "--xattrs", "--xattrs-include=*", "-xpf"}, want, 0o660},
		{[]string{"bsdtar", "--acls", "-xpf"}, map[string]string{AccessACL: acl()}, 0o660},
		{[]string{"tar", "-xpf"}, map[string]string{}, 0o640},
	} {
		to := t.TempDir()
		cmd := exec.Command(c.arguments[0], append(c.arguments[1:], file)...)
		cmd.Dir = to
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got := xattrsOf(t, filepath.Join(to, "shared"))
		if c.arguments[0] == "bsdtar" {
			// It takes names as they are.
			maps.DeleteFunc(got, func(name, _ string) bool { return strings.HasPrefix(name, "user.") })
		}
		if diff := cmp.Diff(c.xattrs, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.arguments, diff)
		}
		if info, err := os.Stat(filepath.Join(to, "shared")); err != nil || info.Mode() != c.mode {
			t.Errorf("%q: mode %v, %v, want %v", c.arguments, info.Mode(), err, c.mode)
		}
	}
}

func TestModeWithoutACL(t *testing.T) {
	for name, c := range map[string]struct {
		xattrs []Xattr
		want   fs.FileMode
	}{
		"none":    {nil, 0o660},
		"shorter": {[]Xattr{{AccessACL, acl()}}, 0o640},
		"broken":  {[]Xattr{{AccessACL, "?"}}, 0o600},
		"default": {[]Xattr{{DefaultACL, acl()}}, 0o660},
	} {
		if got := ModeWithoutACL(0o660, c.xattrs); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// What is not kept is named.
func TestAttributesThatAreNotKeptAreNamed(t *testing.T) {
	privileged.Root(t)
	dir := t.TempDir()
	writeContent(t, dir, "labeled", []byte("x"))
	setXattr(t, filepath.Join(dir, "labeled"), "security.selinux", "system_u:object_r:etc_t:s0")
	s := openSource(t, dir)
	l := tarLayout(Plain)
	_, packed := pack(t, s, l, one(t, s, l))
	if diff := cmp.Diff([]string{"security.selinux"}, packed[0].NotKept); diff != "" || len(packed[0].Xattrs) > 0 {
		t.Errorf("not kept (-want +got):\n%s, kept: %q", diff, packed[0].Xattrs)
	}
}

func TestManifestsHoldExtendedAttributes(t *testing.T) {
	large := strings.Repeat("x", maxMemberXattrs)
	m := Manifest{Transfer: "uid", Prefix: "00", Object: &Object{Key: "k", Compression: Plain}, Members: []Member{
		{Path: "a", Key: "a", Outcome: Done, Xattrs: []Xattr{{"user.\xff", "\x00\xff"}, {"user.b", ""}}, NotKept: []string{"security.selinux"}},
		{Path: "b", Key: "b", Outcome: Done, Xattrs: []Xattr{{"user.large", large}}},
		{Path: "c", Tar: &Place{Attributes: []string{"user.large"}}, Outcome: Done, Xattrs: []Xattr{{"user.large", large}}},
	}}
	BoundXattrs(m.Members)
	body, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeManifest(body)
	if err != nil {
		t.Fatal(err)
	}
	want := m.Members[0]
	if diff := cmp.Diff(want.Xattrs, got.Members[0].Xattrs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b := got.Members[1]; len(b.Xattrs) > 0 || !cmp.Equal(b.NotKept, []string{"user.large"}) {
		t.Errorf("of an object: kept %d, not kept %q", len(b.Xattrs), b.NotKept)
	}
	if c := got.Members[2]; len(c.Xattrs)+len(c.NotKept) > 0 {
		t.Errorf("of a member of the tar: kept %d, not kept %q", len(c.Xattrs), c.NotKept)
	}
}

// inMemory makes a directory on a tmpfs, which takes large attributes.
func inMemory(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "cargoship")
	if err != nil {
		tb.Skip(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// large gives a file more attributes than an extended header may hold, where the file system takes them.
func large(tb testing.TB, path string, count int) {
	tb.Helper()
	for i := range count {
		if err := unix.Setxattr(path, fmt.Sprintf("user.%03d", i), make([]byte, 60<<10), 0); err != nil {
			tb.Skipf("the file system has no room for %d large attributes: %v", count, err)
		}
	}
}

func TestWhatDoesNotFitIntoAHeaderIsNotKept(t *testing.T) {
	dir := inMemory(t)
	writeContent(t, dir, "f", []byte("content"))
	large(t, filepath.Join(dir, "f"), 20)
	s, l := openSource(t, dir), tarLayout(Plain)
	object, packed := pack(t, s, l, one(t, s, l))
	h, err := tar.NewReader(bytes.NewReader(object)).Next()
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	for key := range h.PAXRecords {
		if _, ok := DecodeKeyword(key); ok {
			there++
		}
	}
	if p := packed[0]; there == 0 || len(p.Attributes) != there || len(p.NotKept) != 20-there {
		t.Errorf("%d attributes are in the header, %d named, %d not kept", there, len(p.Attributes), len(p.NotKept))
	}
}

func TestPackersDoNotHoldTheAttributesOfAllMembers(t *testing.T) {
	dir := inMemory(t)
	for i := range 30 {
		writeContent(t, dir, fmt.Sprint(i), []byte("x"))
		large(t, filepath.Join(dir, fmt.Sprint(i)), 15)
	}
	s, l := openSource(t, dir), tarLayout(Plain)
	_, packed := pack(t, s, l, one(t, s, l))
	for _, p := range packed {
		if len(p.Xattrs) > 0 || len(p.Attributes) != 15 {
			t.Errorf("the values of %d attributes are held, %d are named", len(p.Xattrs), len(p.Attributes))
		}
	}
}

// manyNames are attributes of a file whose names take almost the 64 KiB that Linux lists.
func manyNames() (all []Xattr) {
	for i := range 240 {
		all = append(all, Xattr{fmt.Sprintf("user.%03d\x01", i) + strings.Repeat("n", 240), strings.Repeat("v", 20)})
	}
	return all
}

func TestManifestsOfManyAttributesCanBeRead(t *testing.T) {
	for name, objects := range map[string]bool{"objects": true, "members": false} {
		t.Run(name, func(t *testing.T) {
			m := Manifest{Transfer: "uid", Prefix: "00", Object: &Object{Key: "k"}}
			room, all := newXattrBudget(), manyNames()
			for i := range maxBatchFiles {
				f := Member{Path: fmt.Sprint(i), Outcome: Done, Key: "k", Xattrs: all}
				if !objects {
					kept, others := fitting(all, room.names)
					var p Packed
					p.keep(&member{xattrs: kept, others: others}, &room)
					f.Key, f.Tar, f.Xattrs, f.NotKept = "", &p.Place, p.Xattrs, p.NotKept
				}
				m.Members = append(m.Members, f)
			}
			BoundXattrs(m.Members)
			body, err := m.Encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeManifest(body)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range got.Members {
				inTar := 0
				if f.Tar != nil {
					inTar = len(f.Tar.Attributes)
				}
				if len(f.Xattrs) < len(all) && inTar < len(all) && len(f.NotKept) == 0 {
					t.Fatalf("of %q it is not said that attributes are missing", f.Path)
				}
			}
		})
	}
}
