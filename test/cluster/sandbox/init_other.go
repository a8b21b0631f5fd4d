//go:build unix && !linux

package sandbox

import (
	"errors"
	"syscall"
)

const setupEnv = "CARGOSHIP_SANDBOX"

func isolated() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// Init needs Linux.
func Init() error { return errors.New("nodes in namespaces need Linux") }
