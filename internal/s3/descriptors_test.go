package s3

import (
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"
)

// TestTooManyOpenFiles is neither the file's fault nor the network's.
func TestTooManyOpenFiles(t *testing.T) {
	for name, err := range map[string]error{
		"a file":             &fs.PathError{Op: "open", Path: "file", Err: syscall.EMFILE},
		"all files":          &fs.PathError{Op: "open", Path: "file", Err: syscall.ENFILE},
		"a credential":       credentialsError{&fs.PathError{Op: "open", Path: "file", Err: syscall.EMFILE}},
		"a connection":       &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)},
		"a lookup of a name": &net.DNSError{Err: "too many open files", UnwrapErr: os.NewSyscallError("socket", syscall.EMFILE)},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, SourceError("open", "key", err), Transient, ReasonTooManyOpenFiles)
			wantError(t, Classify("put object", "key", err), Transient, ReasonTooManyOpenFiles)
			wantMatch(t, Classify("put object", "key", err), "too many open files.*: raise this machine's limit.* of .*open files")
		})
	}
}
