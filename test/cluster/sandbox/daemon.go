package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"cargoship.dev/operator/test/kit/process"
)

const (
	// restartPause is the time between the end of a daemon and its next start.
	restartPause = time.Second
	// daemonGrace is how long a daemon may take to end.
	daemonGrace = 5 * time.Second

	// daemonsName is the directory, below the run directory, with a file for each
	// daemon: its process id within the sandbox, or nothing while it does not run.
	daemonsName = "daemons"
	// stoppedSuffix makes the name of a file that keeps a daemon from being started.
	stoppedSuffix = ".stopped"
)

// keep runs a program until ctx ends, and starts it again whenever it ends before.
// Its output goes to NAME.log in the run directory.
func (s *server) keep(ctx context.Context, name string, argv ...string) {
	s.daemons.Go(func() {
		log, err := os.OpenFile(filepath.Join(inside, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "%s: open its log: %v\n", name, err)
			return
		}
		defer func() { _ = log.Close() }()
		keep(ctx, filepath.Join(inside, daemonsName, name), log, argv)
	})
}

// Keep runs a program within the sandbox until ctx ends, and starts it again whenever
// it ends before. Its arguments are a name for it, the program, and its arguments.
func Keep(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("keep a program running: it takes a name and a program")
	}
	keep(ctx, filepath.Join(inside, daemonsName, args[0]), os.Stdout, args[1:])
	return nil
}

// keep runs a program; path is the file that holds its process id.
func keep(ctx context.Context, path string, output *os.File, argv []string) {
	pause := time.Duration(0)
	for rest(ctx, pause) {
		pause = restartPause
		if _, err := os.Stat(path + stoppedSuffix); err == nil {
			pause = poll
			continue
		}
		if err := once(ctx, path, output, argv); err != nil {
			_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(path), err)
		}
	}
}

// rest returns true after d, and false once ctx has ended.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}

// once runs a program to its end, or ends it with ctx. Its id stands in the file path
// meanwhile.
func once(ctx context.Context, path string, output *os.File, argv []string) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = output, output
	child, err := process.Start(cmd)
	if err != nil {
		return errors.Join(err, note(path, ""))
	}
	if err := note(path, strconv.Itoa(child.PID())); err != nil {
		return errors.Join(err, child.Stop(0))
	}
	select {
	case <-child.Done():
		return errors.Join(fmt.Errorf("it ended: %w", child.Err()), note(path, ""))
	case <-ctx.Done():
		return child.Stop(daemonGrace)
	}
}

func note(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("note its process id: %w", err)
	}
	return nil
}
