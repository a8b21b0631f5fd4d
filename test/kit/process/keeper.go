package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// Keeper starts a program again whenever it ends by itself, as a kubelet does.
type Keeper struct {
	start    func() (*Process, error)
	pause    time.Duration
	restarts atomic.Int64
	ended    chan struct{} // closed when the program has ended by itself
	reason   error         // for which it did so first
	stopping chan time.Duration
	work     sync.WaitGroup
	err      error // of the last process; to be read after work
}

// Keep starts what command returns, and again a pause after it has ended. All that it prints goes
// to a file.
func Keep(logFile string, command func() *exec.Cmd, pause time.Duration) (*Keeper, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, fmt.Errorf("create the log: %w", err)
	}
	k := &Keeper{pause: pause, ended: make(chan struct{}), stopping: make(chan time.Duration, 1)}
	k.start = func() (*Process, error) {
		cmd := command()
		cmd.Stdout, cmd.Stderr = log, log
		return Start(cmd)
	}
	child, err := k.start()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	k.work.Go(func() {
		defer func() { _ = log.Close() }() // the program had its own descriptor
		k.run(child)
	})
	return k, nil
}

func (k *Keeper) run(child *Process) {
	for {
		select {
		case grace := <-k.stopping:
			k.err = child.Stop(grace)
			return
		case <-child.Done():
		}
		if k.restarts.Add(1) == 1 {
			k.reason = child.Err()
			close(k.ended)
		}
		select {
		case <-k.stopping:
			return
		case <-time.After(k.pause):
		}
		if child, k.err = k.start(); k.err != nil {
			return
		}
	}
}

// Restarts counts how often the program has ended by itself.
func (k *Keeper) Restarts() int64 { return k.restarts.Load() }

// Ended is closed once the program has ended by itself.
func (k *Keeper) Ended() <-chan struct{} { return k.ended }

// Err is how the program ended first, nil for exit status 0. It may be asked only after Ended.
func (k *Keeper) Err() error { return k.reason }

// Stop ends the program for good, as Process.Stop does. It may be called once.
func (k *Keeper) Stop(grace time.Duration) error {
	k.stopping <- grace
	k.work.Wait()
	return k.err
}
