package restore_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/test/kit/privileged"
)

const nobody = 65534

// capability is security.capability of a program that may open raw sockets.
const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// acl is an access control list of rw for user 1234 and the mask, and r for the owning group.
func acl() string {
	out := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{1, 6, 1<<32 - 1}, {2, 6, 1234}, {4, 4, 1<<32 - 1}, {0x10, 6, 1<<32 - 1}, {0x20, 0, 1<<32 - 1}} {
		out = binary.LittleEndian.AppendUint16(out, uint16(e[0]))
		out = binary.LittleEndian.AppendUint16(out, uint16(e[1]))
		out = binary.LittleEndian.AppendUint32(out, e[2])
	}
	return string(out)
}

// asNobody has the test run by a user without privileges: it returns true in a process that has
// none. Root runs the test in another process; its parameters are in the environment.
func asNobody(t *testing.T, parameters ...string) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Env, cmd.Dir = append(os.Environ(), append(parameters, "HOME=/nonexistent", "TMPDIR=/tmp")...), "/"
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as user %d: %v\n%s", nobody, err, out)
	}
	return false
}

func set(tb testing.TB, path, name, value string) {
	tb.Helper()
	if err := unix.Setxattr(path, name, []byte(value), 0); err != nil {
		tb.Fatalf("set %s of %s: %v", name, path, err)
	}
}

// looks describes mode, owner and extended attributes of everything in a tree.
func looks(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir || d.Type() == fs.ModeSymlink {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
		names := make([]byte, 1<<12)
		n, err := unix.Listxattr(p, names)
		for _, name := range slices.Sorted(strings.SplitSeq(string(names[:max(n, 0)]), "\x00")) {
			if name == "" {
				continue
			}
			value := make([]byte, 1<<12)
			n, err := unix.Getxattr(p, name, value)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %s=%q", name, value[:n])
		}
		rel, _ := filepath.Rel(dir, p)
		all[rel] = text
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// dressed is a tree with all kinds of attributes, of several owners.
func dressed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"plain", "capable", "shared", "setuid", "labeled", "large", "d/file"} {
		write(t, dir, name, 5000)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, dir, "large", 13<<20)
	for _, name := range []string{"capable", "shared", "setuid", "large", "d"} {
		if err := os.Chown(in(name), 1000, 1001); err != nil {
			t.Fatal(err)
		}
	}
	set(t, in("capable"), "security.capability", capability)
	set(t, in("capable"), "user.origin", "here")
	set(t, in("shared"), archive.AccessACL, acl())
	set(t, in("d"), archive.DefaultACL, acl())
	set(t, in("d"), "user.kind", "directory")
	set(t, in("large"), "user.origin", "there")
	if err := errors.Join(os.Chmod(in("setuid"), fs.ModeSetuid|0o755), os.Chmod(in("plain"), 0o444), os.Chmod(in("d"), fs.ModeSetgid|0o750)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAttributesComeBack(t *testing.T) {
	privileged.Root(t)
	dir := dressed(t)
	want := looks(t, dir)
	b := archived(t, dir, zstd())
	b.change(t, func(m *archive.Member) {
		if m.Path == "large" {
			m.Xattrs = []archive.Xattr{{Name: "user.origin", Value: "there"}}
		}
	})
	to := t.TempDir()
	if s := run(t, b, restore.Options{Dir: to, SameOwner: true, Privileged: true}); s.AttributesFailed+s.AttributesLeftOut+s.Failed > 0 {
		t.Errorf("%+v %v", s, s.AttributeFailures)
	}
	if diff := cmp.Diff(want, looks(t, to)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// What is there already is put right, and not fetched again.
	in := func(name string) string { return filepath.Join(to, name) }
	if err := errors.Join(os.Chown(in("capable"), 7, 7), unix.Removexattr(in("shared"), archive.AccessACL), os.Chmod(in("plain"), 0o777),
		unix.Removexattr(in("large"), "user.origin")); err != nil {
		t.Fatal(err)
	}
	before := b.gets
	s := run(t, b, restore.Options{Dir: to, SameOwner: true, Privileged: true})
	if s.Corrected != 4 || b.gets != before {
		t.Errorf("%+v, %d reads", s, b.gets-before)
	}
	if diff := cmp.Diff(want, looks(t, to)); diff != "" {
		t.Errorf("put right (-want +got):\n%s", diff)
	}
}

// Manifests of earlier releases hold no values; these are in the tar.
func TestAttributesComeBackFromTheTar(t *testing.T) {
	privileged.Root(t)
	dir := dressed(t)
	b := archived(t, dir, zstd())
	b.change(t, func(m *archive.Member) { m.Xattrs = nil })
	to := t.TempDir()
	for range 2 {
		if s := run(t, b, restore.Options{Dir: to, SameOwner: true, Privileged: true}); s.AttributesFailed+s.Failed > 0 {
			t.Errorf("%+v %v", s, s.AttributeFailures)
		}
		want, got := looks(t, dir), looks(t, to)
		delete(want, "large")
		delete(got, "large")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// Whoever forges a manifest gets nothing that the kernel acts upon.
func TestPrivilegedAttributesAreRestoredOnRequest(t *testing.T) {
	privileged.Root(t)
	dir := t.TempDir()
	for _, name := range []string{"setuid", "labeled", "overlay", "plain"} {
		write(t, dir, name, 10)
	}
	b := archived(t, dir, zstd())
	b.change(t, func(m *archive.Member) {
		switch m.Path {
		case "setuid":
			m.Mode = fs.ModeSetuid | fs.ModeSetgid | 0o755
		case "labeled":
			m.Xattrs = []archive.Xattr{{Name: "security.selinux", Value: "system_u:object_r:shadow_t:s0\x00"}}
		case "overlay":
			m.Xattrs = []archive.Xattr{{Name: "trusted.overlay.opaque", Value: "y"}, {Name: "user.kept", Value: "x"}}
		}
	})
	to := t.TempDir()
	s := run(t, b, restore.Options{Dir: to, SameOwner: true})
	if s.AttributesLeftOut != 3 || s.AttributesFailed > 0 || s.Files != 4 {
		t.Errorf("%+v %v", s, s.AttributeFailures)
	}
	want := map[string]string{
		"setuid": "-rwxr-xr-x 0:0", "labeled": "-rw-r----- 0:0", "overlay": `-rw-r----- 0:0 user.kept="x"`, "plain": "-rw-r----- 0:0",
	}
	if diff := cmp.Diff(want, looks(t, to)); diff != "" {
		t.Errorf("by default (-want +got):\n%s", diff)
	}
	if s := run(t, b, restore.Options{Dir: to, SameOwner: true, Privileged: true}); s.Corrected != 3 {
		t.Errorf("%+v", s)
	}
	want = map[string]string{
		"setuid": "ugrwxr-xr-x 0:0", "labeled": `-rw-r----- 0:0 security.selinux="system_u:object_r:shadow_t:s0\x00"`,
		"overlay": `-rw-r----- 0:0 trusted.overlay.opaque="y" user.kept="x"`, "plain": "-rw-r----- 0:0",
	}
	if diff := cmp.Diff(want, looks(t, to)); diff != "" {
		t.Errorf("on request (-want +got):\n%s", diff)
	}
}

// Files restored into a directory with a default access control list get none of it.
func TestNothingIsInherited(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "d/file", 10)
	b := archived(t, dir, zstd())
	to := t.TempDir()
	set(t, to, archive.DefaultACL, acl())
	run(t, b, restore.Options{Dir: to})
	if diff := cmp.Diff(looks(t, dir), looks(t, to)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An attribute that can't be set costs no file and no second read. An access control list that
// can't be set gives the group no more than there was.
func TestAttributesThatCannotBeSetCostNoFile(t *testing.T) {
	if !asNobody(t) {
		return
	}
	dir := t.TempDir()
	write(t, dir, "capable", 5000)
	write(t, dir, "readonly", 5000)
	write(t, dir, "shared", 5000)
	set(t, filepath.Join(dir, "readonly"), "user.origin", "here")
	if err := os.Chmod(filepath.Join(dir, "readonly"), 0o444); err != nil {
		t.Fatal(err)
	}
	b := archived(t, dir, zstd())
	b.change(t, func(m *archive.Member) {
		switch m.Path {
		case "capable":
			m.Xattrs = []archive.Xattr{{Name: "security.capability", Value: capability}}
		case "shared":
			m.Mode, m.Xattrs = 0o660, []archive.Xattr{{Name: archive.AccessACL, Value: acl()[:20] + "\xff\xff" + acl()[22:]}}
		}
	})
	to := t.TempDir()
	s := run(t, b, restore.Options{Dir: to})
	if s.Files != 3 || s.Failed > 0 || s.AttributesFailed != 2 || b.gets != 1 {
		t.Errorf("%+v %v, %d reads", s, s.AttributeFailures, b.gets)
	}
	owner := fmt.Sprintf("%d:%d", os.Geteuid(), os.Getegid())
	want := map[string]string{
		"capable": "-rw-r----- " + owner, "readonly": "-r--r--r-- " + owner + ` user.origin="here"`, "shared": "-rw------- " + owner,
	}
	if diff := cmp.Diff(want, looks(t, to)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Attributes of what is there are put right, whatever the mode denies.
	if err := errors.Join(os.Chmod(filepath.Join(to, "readonly"), 0o600), unix.Removexattr(filepath.Join(to, "readonly"), "user.origin"),
		os.Chmod(filepath.Join(to, "readonly"), 0o044)); err != nil {
		t.Fatal(err)
	}
	run(t, b, restore.Options{Dir: to})
	if diff := cmp.Diff(want, looks(t, to)); diff != "" || b.gets != 1 {
		t.Errorf("put right with %d reads (-want +got):\n%s", b.gets, diff)
	}
}

// A file that its owner may not read is opened for its attributes, and has its mode after that.
func TestAFileThatItsOwnerMayNotRead(t *testing.T) {
	if !asNobody(t) {
		return
	}
	dir := t.TempDir()
	write(t, dir, "plain", 100)
	write(t, dir, "dressed", 101)
	set(t, filepath.Join(dir, "dressed"), "user.a", "b")
	b := archived(t, dir, zstd())
	b.change(t, func(m *archive.Member) { m.Mode = 0o040 })
	to := t.TempDir()
	for _, repair := range []bool{false, false, true, true} {
		s := run(t, b, restore.Options{Dir: to, Repair: repair})
		for _, name := range []string{"plain", "dressed"} {
			info, err := os.Stat(filepath.Join(to, name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o040 || s.Corrected > 0 || s.Failed > 0 {
				t.Errorf("repair %v: %s has mode %v; %+v", repair, name, info.Mode(), s)
			}
		}
	}
}

// A file that lacks attributes is no other file: whoever finishes a restore does not take it for
// one in the way.
func TestMissingAttributesAreNoConflict(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", 100)
	set(t, filepath.Join(dir, "a"), "user.a", "b")
	b := archived(t, dir, zstd())
	b.change(t, func(m *archive.Member) {
		if m.Kind == archive.File {
			m.Tar.Attributes, m.Xattrs = append(m.Tar.Attributes, "user.cannot-be-set"), nil
		}
	})
	o := restore.Options{Catalog: catalog(t, b), Dir: t.TempDir(), Conflicts: restore.Fail}
	m, err := o.Catalog.Manifest(t.Context(), "00", 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		for _, f := range finished(t, o, m) {
			if f.Outcome != archive.Done {
				t.Errorf("finished %d times: %q is %s: %s", i+1, f.Path, f.Outcome, f.Message)
			}
		}
	}
}

// Times that nanoseconds since 1970 can't tell come back, too, or it is said that the file system has none such.
func TestFarTimesComeBack(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "d/file", 100)
	if err := errors.Join(os.Link(filepath.Join(dir, "d/file"), filepath.Join(dir, "d/other")), os.Symlink("file", filepath.Join(dir, "d/link"))); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2300, 1, 1, 0, 0, 0, 5, time.UTC)
	probe := filepath.Join(t.TempDir(), "probe")
	write(t, filepath.Dir(probe), "probe", 0)
	ts := unix.Timespec{Sec: at.Unix(), Nsec: 5}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, probe, []unix.Timespec{ts, ts}, 0); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(probe)
	if err != nil {
		t.Fatal(err)
	}
	holds := info.ModTime().Equal(at)
	b := archived(t, dir, zstd())
	b.change(t, func(m *archive.Member) { m.ModTime = at })
	to := t.TempDir()
	if s := run(t, b, restore.Options{Dir: to}); s.Failed > 0 || !holds && len(s.AttributeFailures) == 0 {
		t.Errorf("%+v %v", s, s.Failures)
	}
	for _, name := range []string{"d", "d/file", "d/link"} {
		info, err := os.Lstat(filepath.Join(to, name))
		if err != nil || holds && !info.ModTime().Equal(at) {
			t.Errorf("%s has time %v, %v", name, info.ModTime(), err)
		}
	}
}
