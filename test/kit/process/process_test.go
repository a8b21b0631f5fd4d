package process_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cargoship.dev/operator/test/kit/process"
)

func TestExitCode(t *testing.T) {
	for name, want := range map[string]struct{ code, signal int }{
		"exit 0":         {0, 0},
		"exit 3":         {3, 0},
		"kill -KILL $$":  {137, 9},
		"kill -TERM $$ ": {143, 15},
	} {
		t.Run(name, func(t *testing.T) {
			child, err := process.Start(exec.Command("sh", "-c", name))
			if err != nil {
				t.Fatal(err)
			}
			<-child.Done()
			code, signal := child.ExitCode()
			if code != want.code || signal != want.signal {
				t.Errorf("exit code %d by signal %d, want %d by %d", code, signal, want.code, want.signal)
			}
			if (child.Err() == nil) != (want.code == 0) {
				t.Errorf("error %v with exit code %d", child.Err(), code)
			}
		})
	}
}

func TestStopEndsTheWholeGroup(t *testing.T) {
	// The shell ends at SIGTERM; its own child does not.
	note := filepath.Join(t.TempDir(), "pid")
	script := "sh -c 'trap \"\" TERM; echo $$ >" + note + ".new; mv " + note + ".new " + note + "; sleep 600 & wait; sleep 600' & wait"
	child, err := process.Start(exec.Command("sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	grandchild := readPID(t, note)
	if err := child.Stop(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if errors.Is(syscall.Kill(grandchild, 0), syscall.ESRCH) || isZombie(grandchild) {
			return
		}
	}
	t.Errorf("process %d of the group is left after Stop", grandchild)
}

// isZombie tells whether a process has ended and only waits for its new parent.
func isZombie(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(text), ") Z ")
}

func readPID(t *testing.T, path string) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Fatalf("waited a minute in vain for %s", path)
	return 0
}
