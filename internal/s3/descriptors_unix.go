//go:build unix

package s3

import "syscall"

// DescriptorLimit returns how many files and connections this process may have open, 0 if
// nobody knows. The runtime has raised the limit as far as the process may.
func DescriptorLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil || limit.Cur > 1<<30 {
		return 0
	}
	return int(limit.Cur)
}
