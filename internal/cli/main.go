// Package cli is shared by the command-line programs: signals, one-line errors, exit codes
// and the version.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
)

// collectAt is GOGC, in percent, unless the environment sets it: the heap is small, and
// requests are short.
const collectAt = 200

// Main runs the command line that NewRoot has made and returns the exit code.
func Main(root *cobra.Command) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	signaled, stop := signal.NotifyContext(context.Background(), ending()...)
	defer stop()
	ctx, end := context.WithCancelCause(signaled)
	defer end(nil)
	// After the first signal, a second one kills the process.
	context.AfterFunc(ctx, stop)
	// With this, writing to a closed pipe fails instead of killing the process.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	root.SetOut(output{os.Stdout, end})
	root.SetErr(output{os.Stderr, end})
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	line, code := Verdict(ctx, cmd, err)
	if !outputClosed(err) {
		fmt.Fprintln(os.Stderr, line)
	}
	return code
}

// ending are the signals that shut a command down cleanly: it aborts its open uploads. Without
// a handler, a closed terminal would kill it. Signals that are ignored at the start stay
// ignored, as with nohup. SIGPIPE is not among them: a server that closes a connection also
// raises it.
func ending() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
	return slices.DeleteFunc(all, signal.Ignored)
}

// outputClosed tells whether the reader of the output is gone, as with cargoship ls | head.
func outputClosed(err error) bool {
	written, ok := errors.AsType[*fs.PathError](err)
	return ok && written.Path == os.Stdout.Name() && errors.Is(written, syscall.EPIPE)
}
