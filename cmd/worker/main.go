// Command worker moves files into S3: as the pod of an ArchiveTransfer, or from
// a shell with worker copy.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

func main() { os.Exit(start()) }

// collectAt is by how many percent the heap grows between collections, unless the
// environment says otherwise: it is small, and requests are short.
const collectAt = 200

// start runs the command line and returns the exit code.
func start() int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	root := newRootCommand()
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	line, code := verdict(ctx, cmd, err)
	fmt.Fprintln(os.Stderr, line)
	return code
}
