package process_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"cargoship.dev/operator/test/kit/process"
)

// TestKeeper has a program that is killed be started again, and stopped for good.
func TestKeeper(t *testing.T) {
	dir, starts := t.TempDir(), 0
	note := func(n int) string { return filepath.Join(dir, strconv.Itoa(n)) }
	keeper, err := process.Keep(filepath.Join(dir, "log"), func() *exec.Cmd {
		starts++
		return exec.Command("sh", "-c", "echo $$ >"+note(starts)+".new; mv "+note(starts)+".new "+note(starts)+"; exec sleep 600")
	}, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(readPID(t, note(1)), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := readPID(t, note(2))
	<-keeper.Ended()
	if keeper.Restarts() != 1 || keeper.Err() == nil {
		t.Errorf("%d restarts, %v; want one because it was killed", keeper.Restarts(), keeper.Err())
	}
	if err := keeper.Stop(0); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(second, 0); err == nil && !isZombie(second) {
		t.Error("it runs after Stop")
	}
	if _, err := os.Stat(note(3)); err == nil {
		t.Error("it was started again after Stop")
	}
}
