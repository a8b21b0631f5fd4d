// Package cli is what our command-line programs share: signals, one-line errors, exit codes
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

// collectAt is by how many percent the heap grows between collections, unless the
// environment says otherwise: it is small, and requests are short.
const collectAt = 200

// Main runs the command line that NewRoot has made and returns the exit code.
func Main(root *cobra.Command) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ending()...)
	defer stop()
	// A second signal kills the process, but not a second write to a closed pipe.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	context.AfterFunc(ctx, stop)
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
// a handler, a closed terminal or pipe would kill it. Signals that are ignored at the start
// stay ignored, as with nohup.
func ending() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE}
	return slices.DeleteFunc(all, signal.Ignored)
}

// outputClosed says that the reader of the output is gone, as with cargoship ls | head.
func outputClosed(err error) bool {
	written, ok := errors.AsType[*fs.PathError](err)
	return ok && written.Path == os.Stdout.Name() && errors.Is(written, syscall.EPIPE)
}
