package archive

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asNobody runs f without the rights that root has over files.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	// The file system user is one of the thread's; nothing else may run on it meanwhile.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody = 65534
	setfsuid := func(uid uintptr) {
		_, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, uid, 0, 0)
	}
	setfsuid(nobody)
	defer setfsuid(0)
	f()
}

func TestOpenTellsWhatBecameOfAFile(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(p string) error
		want   error
		reason string
	}{
		"unchanged":      {func(string) error { return nil }, nil, ""},
		"grown":          {func(p string) error { return os.WriteFile(p, []byte("longer than before"), 0o644) }, ErrChanged, ReasonChanged},
		"touched":        {func(p string) error { return os.Chtimes(p, time.Time{}, time.Unix(1, 0)) }, ErrChanged, ReasonChanged},
		"removed":        {os.Remove, ErrVanished, ReasonVanished},
		"now a pipe":     {func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o644)) }, ErrChanged, ReasonChanged},
		"now a way out":  {func(p string) error { return errors.Join(os.Remove(p), os.Symlink("/etc/passwd", p)) }, ErrUnreadable, ReasonUnreadable},
		"now unreadable": {func(p string) error { return os.Chmod(p, 0) }, ErrUnreadable, ReasonUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			dir, s := tree(t, map[string]int64{"d/f": 4})
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			archives, _ := walk(t, s, WalkOptions{Layout: mirror("*")})
			if err := tc.change(filepath.Join(dir, "d", "f")); err != nil {
				t.Fatal(err)
			}
			var f *SourceFile
			var err error
			asNobody(t, func() { f, err = s.Open(archives[0].Entries[0]) })
			if f != nil {
				defer release(f)
			}
			if !errors.Is(err, tc.want) {
				t.Fatalf("error %v, want %v", err, tc.want)
			}
			if fe, ok := errors.AsType[*FileError](err); ok && (fe.Reason() != tc.reason || !strings.Contains(err.Error(), `"d/f"`)) {
				t.Errorf("reason %q of %q, want %q", fe.Reason(), err, tc.reason)
			}
		})
	}
}

func TestUnchangedSeesAWriteWhileReading(t *testing.T) {
	dir, s := tree(t, map[string]int64{"f": 100})
	archives, _ := walk(t, s, WalkOptions{Layout: mirror("*")})
	f, err := s.Open(archives[0].Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	defer release(f)
	buf := make([]byte, 100)
	if n, err := f.ReadAt(buf, 0); n != 100 || (err != nil && !errors.Is(err, io.EOF)) {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	if err := f.Unchanged(); err != nil {
		t.Fatalf("before the write: %v", err)
	}
	if err := os.Truncate(filepath.Join(dir, "f"), 50); err != nil {
		t.Fatal(err)
	}
	if err := f.Unchanged(); !errors.Is(err, ErrChanged) {
		t.Fatalf("after the write: %v, want %v", err, ErrChanged)
	}
}

func TestReadAtReportsReadErrors(t *testing.T) {
	_, s := tree(t, map[string]int64{"f": 100})
	archives, _ := walk(t, s, WalkOptions{Layout: mirror("*")})
	f, err := s.Open(archives[0].Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrUnreadable) {
		t.Fatalf("error %v, want %v", err, ErrUnreadable)
	}
}

func TestOpenSource(t *testing.T) {
	dir, _ := tree(t, map[string]int64{"in/side/f": 1, "file": 1})
	for name, target := range map[string]string{"out": "/etc", "alias": "in/side"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		dir, sub string
		ok       bool
	}{
		"whole":                  {dir, "", true},
		"below":                  {dir, "in/side", true},
		"below, written as root": {dir, "/in/side/", true},
		"link inside":            {dir, "alias", true},
		"link outside":           {dir, "out", false},
		"climbing":               {dir, "../..", false},
		"missing":                {dir, "absent", false},
		"a file":                 {dir, "file", false},
		"missing altogether":     {dir + "/absent", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := OpenSource(tc.dir, tc.sub)
			if (err == nil) != tc.ok {
				t.Fatalf("error %v, want success %v", err, tc.ok)
			}
			if err == nil {
				_ = s.Close()
			}
		})
	}
}
