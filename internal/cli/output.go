package cli

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// errNobodyReads ends a command whose output has no reader any more.
var errNobodyReads = errors.New("the output was closed by its reader")

// output is standard output or standard error. Once its reader is gone the command ends, as
// on a signal.
type output struct {
	file *os.File
	end  context.CancelCauseFunc
}

// Write implements io.Writer.
func (o output) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		o.end(errNobodyReads)
	}
	return n, err
}

// Fd returns the file descriptor, from which callers tell whether it is a terminal.
func (o output) Fd() uintptr { return o.file.Fd() }
