package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// setupEnv hands the sandbox its setup.
const setupEnv = "CARGOSHIP_SANDBOX"

// isolated gives a process namespaces of its own, and makes it the first of its
// process namespace.
func isolated() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
}

// Init is the first process of the sandbox: it makes the mounts private, starts
// Serve, and takes note of the end of every orphan until Serve ends.
func Init() error {
	s, err := readSetup()
	if err != nil {
		return err
	}
	if err := prepareMounts(context.Background(), s.Dir); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	child, err := os.StartProcess(program, []string{program, ServeCommand}, &os.ProcAttr{
		Env: os.Environ(),
		Files: []*os.File{nil, os.Stdout, os.Stderr, os.NewFile(apiListenerFD, "api"), os.NewFile(s3ListenerFD, "s3"),
			os.NewFile(registryListenerFD, "registry"), os.NewFile(outcomeFD, "outcome")},
	})
	if err != nil {
		return fmt.Errorf("start the cluster's server: %w", err)
	}
	_ = os.NewFile(outcomeFD, "outcome").Close() // or its reader would not see the child's end
	for {
		ended, err := syscall.Wait4(-1, nil, 0, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("wait for processes of the sandbox: %w", err)
		}
		if ended == child.Pid {
			return errors.New("the cluster's server has ended")
		}
	}
}

// prepareMounts makes mounts of the sandbox its own, with a /proc that shows its
// processes and a /run that starts empty.
func prepareMounts(ctx context.Context, dir string) error {
	for _, command := range [][]string{
		{"mount", "--make-rprivate", "/"},
		{"mount", "--make-rshared", "/"}, // among ourselves, as kubelets expect it
		{"mount", "-t", "proc", "proc", "/proc"},
		{"mount", "-t", "tmpfs", "tmpfs", "/run"},
		{"mkdir", "-p", inside, "/run/netns", "/run/lock", "/var/lib/cni"},
		{"mount", "--bind", dir, inside},
		{"mount", "-t", "tmpfs", "tmpfs", "/var/lib/cni"},
	} {
		if err := run(ctx, command...); err != nil {
			return fmt.Errorf("prepare the sandbox's mounts: %w", err)
		}
	}
	return nil
}
