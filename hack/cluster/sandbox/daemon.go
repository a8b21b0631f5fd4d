package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"cargoship.dev/operator/hack/localcluster/process"
)

const (
	// restartPause is the time between the end of a daemon and its next start.
	restartPause = time.Second
	// daemonGrace is how long a daemon may take to end.
	daemonGrace = 5 * time.Second
)

// keep runs a program until ctx ends, and starts it again whenever it ends before.
// Its output goes to NAME.log in the run directory.
func (s *server) keep(ctx context.Context, name string, argv ...string) {
	s.daemons.Go(func() {
		for ctx.Err() == nil {
			if err := once(ctx, name, argv); err != nil {
				_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(restartPause):
			}
		}
	})
}

// once runs a program to its end, or ends it with ctx.
func once(ctx context.Context, name string, argv []string) error {
	path := filepath.Join(inside, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open its log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	child, err := process.Start(cmd)
	if err != nil {
		return err
	}
	select {
	case <-child.Done():
		return fmt.Errorf("it ended, and is started again: %w", child.Err())
	case <-ctx.Done():
		return child.Stop(daemonGrace)
	}
}
