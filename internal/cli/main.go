// Package cli is what our command lines share: signals, one line for an error, exit
// codes, the version.
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
	// A second signal ends the process at once, but not a second line that nobody reads.
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

// ending are the signals that end a command in good order: it aborts what it has open.
// Also a terminal that is closed, and a reader of the output that has gone, would end it
// at once otherwise. What is ignored from the start stays so, as with nohup.
func ending() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE}
	return slices.DeleteFunc(all, signal.Ignored)
}

// outputClosed says that nobody reads the output any more, as with cargoship ls | head.
func outputClosed(err error) bool {
	written, ok := errors.AsType[*fs.PathError](err)
	return ok && written.Path == os.Stdout.Name() && errors.Is(written, syscall.EPIPE)
}
