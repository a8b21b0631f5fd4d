package sandbox

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A program is started again when it is killed, and not while it is stopped.
func TestKeepStartsAgainWhatEndsUnlessStopped(t *testing.T) {
	s := &State{dir: t.TempDir()}
	path := s.daemonFile("sleeper")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		keep(ctx, path, os.Stderr, []string{"sleep", "600"})
	}()
	first := awaitDaemon(t, s, func(pid string) bool { return pid != "" })
	kill(t, first)
	second := awaitDaemon(t, s, func(pid string) bool { return pid != "" && pid != first })

	if err := os.WriteFile(path+stoppedSuffix, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	kill(t, second)
	awaitDaemon(t, s, func(pid string) bool { return pid == "" })
	time.Sleep(restartPause + 2*poll)
	if pid, err := s.daemon("sleeper"); pid != "" || err != nil {
		t.Errorf("a stopped program runs as %q (error %v)", pid, err)
	}
	if err := s.Start("sleeper"); err != nil {
		t.Fatal(err)
	}
	third := awaitDaemon(t, s, func(pid string) bool { return pid != "" })
	cancel()
	<-ended
	if err := syscall.Kill(number(t, third), 0); err == nil {
		t.Errorf("process %s outlives its keeper", third)
	}
}

func TestDisturbancesRefuseWhatIsNotThere(t *testing.T) {
	s := &State{dir: t.TempDir(), Nodes: []string{"node-1"}}
	if err := os.MkdirAll(filepath.Dir(s.daemonFile("etcd")), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := note(s.daemonFile("etcd"), ""); err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		err  error
		want string
	}{
		"an unknown process":      {s.Kill(t.Context(), "etc"), "there are etcd"},
		"a path":                  {s.Start("../state.json"), "there are etcd"},
		"a process that is down":  {s.Kill(t.Context(), "etcd"), "does not run"},
		"an unknown node":         {s.Partition(t.Context(), "node-7", FromS3), "there are node-1"},
		"an unknown server":       {s.Partition(t.Context(), "node-1", "dns"), "api or s3"},
		"a disk that is not here": {s.Fill("node-7"), "there are node-1"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", what, test.err, test.want)
		}
	}
}

func awaitDaemon(t *testing.T, s *State, is func(pid string) bool) string {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if text, err := os.ReadFile(s.daemonFile("sleeper")); err == nil && is(string(text)) {
			return string(text)
		}
	}
	t.Fatal("the program did not come to the state awaited in 30 s")
	return ""
}

func kill(t *testing.T, pid string) {
	t.Helper()
	if err := syscall.Kill(number(t, pid), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, pid string) int {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
