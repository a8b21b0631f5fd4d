package s3

import (
	"errors"
	"fmt"
	"syscall"
)

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
