package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"cargoship.dev/operator/test/kit"
)

// ErrNotRunning is the error of whatever needs a running sandbox where none runs.
var ErrNotRunning = errors.New("no cluster runs (make cluster-up starts one)")

// State is what a sandbox has recorded of itself.
type State struct {
	// PID is the process id of the sandbox's first process; with it all others end.
	PID int
	// Started is when that process started, in the kernel's ticks since boot: a
	// later process of the same id has another.
	Started string
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string
	// Volumes is a directory that every node sees under the same path.
	Volumes string
	// Registry is the host and port of an image registry, without TLS, as programs of this
	// machine reach it and as nodes find it in the names of images.
	Registry string
	// S3 is the sandbox's S3 server.
	S3 kit.S3Access
	// Nodes are the names of the nodes.
	Nodes []string
	// Ready is whether the nodes were once ready.
	Ready bool

	dir string
}

// Open reads the state of the sandbox with the run directory dir, or gives ErrNotRunning.
func Open(dir string) (*State, error) {
	text, err := os.ReadFile(stateFile(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("read the cluster's state: %w", err)
	}
	s := &State{dir: dir}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("read the cluster's state in %s: %w", stateFile(dir), err)
	}
	if !s.alive() {
		return nil, ErrNotRunning
	}
	return s, nil
}

func stateFile(dir string) string { return filepath.Join(dir, "state.json") }

// record writes the state whole or not at all; it holds a secret key.
func (s *State) record() error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the cluster's state: %w", err)
	}
	temp := stateFile(s.dir) + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return fmt.Errorf("write the cluster's state: %w", err)
	}
	return os.Rename(temp, stateFile(s.dir))
}

// alive tells whether the recorded process, and no later one of its id, runs.
func (s *State) alive() bool {
	started, err := startTime(s.PID)
	return err == nil && started == s.Started
}

// startTime is the field starttime of proc_pid_stat(5). The zombie of a process
// counts as gone.
func startTime(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field, the program's name, may hold anything, blanks included.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return "", syscall.ESRCH
	}
	return fields[19], nil
}
