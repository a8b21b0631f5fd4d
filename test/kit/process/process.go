package process

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Process is a started child and everything it has started itself.
type Process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts a command in a process group of its own. On Linux the kernel
// kills the child when this process dies, however it dies. Of cmd.SysProcAttr only a
// Credential counts.
func Start(cmd *exec.Cmd) (*Process, error) {
	attributes := groupAttributes()
	if given := cmd.SysProcAttr; given != nil {
		attributes.Credential = given.Credential
	}
	cmd.SysProcAttr = attributes
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{name: filepath.Base(cmd.Path), cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// PID is the process id of the child, which is also that of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the child has ended and been waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is the child's exit status as a shell would give it: 128 plus the
// signal's number when a signal ended it. It may be asked only after Done.
func (p *Process) ExitCode() (code, signal int) {
	state := p.cmd.ProcessState
	if state == nil {
		return -1, 0
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), int(status.Signal())
	}
	return state.ExitCode(), 0
}

// Err is how the child ended, nil for exit status 0. It may be asked only after Done.
func (p *Process) Err() error {
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", p.name, p.err)
}

// Signal sends a signal to the whole group. A group that is gone is not an error.
func (p *Process) Signal(sig syscall.Signal) error {
	err := syscall.Kill(-p.PID(), sig)
	if err == nil || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return fmt.Errorf("send %v to %s: %w", sig, p.name, err)
}

// Stop asks the group to end, kills it after the grace period, and waits. With
// no grace it kills at once.
func (p *Process) Stop(grace time.Duration) error {
	if grace > 0 {
		if err := p.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-p.done:
		case <-timer.C:
		}
	}
	// Also after the child itself has gone: others of its group may be left.
	err := p.Signal(syscall.SIGKILL)
	<-p.done
	return err
}
