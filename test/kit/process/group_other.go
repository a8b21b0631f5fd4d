//go:build unix && !linux

package process

import "syscall"

// groupAttributes makes the child lead a group; only Linux can tie its life to ours.
func groupAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
