package process

import "syscall"

// groupAttributes makes the child lead a group, and tie its life to ours.
func groupAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
