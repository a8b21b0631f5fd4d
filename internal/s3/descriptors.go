package s3

import (
	"errors"
	"fmt"
	"syscall"
)

// DescriptorLimit returns how many files and connections this process may have open, 0 if
// nobody knows. The runtime has raised the limit as far as the process may.
func DescriptorLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur)
}

// scarce says that there are no descriptors left, for now.
func scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// scarceAdvice names the limit.
func scarceAdvice(err error) string {
	if limit := DescriptorLimit(); limit > 0 && errors.Is(err, syscall.EMFILE) {
		return fmt.Sprintf("raise this machine's limit of %d open files for a process, as ulimit -n does", limit)
	}
	return "raise this machine's limits of open files"
}
