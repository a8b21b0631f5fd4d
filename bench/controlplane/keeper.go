package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"cargoship.dev/operator/test/kit/process"
)

const (
	// stopTime is how long the manager may take to end.
	stopTime = 10 * time.Second
	// restartPause is the kubelet's before it starts a container again for the first time.
	restartPause = 10 * time.Second
)

// keeper starts a program again whenever it ends, as a kubelet does.
type keeper struct {
	restarts atomic.Int64
	stopping chan struct{}
	work     sync.WaitGroup
	err      error // of the last process; to be read after work
}

func keep(logFile string, command func() *exec.Cmd) (*keeper, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, fmt.Errorf("create the log of the manager: %w", err)
	}
	k := &keeper{stopping: make(chan struct{})}
	start := func() (*process.Process, error) {
		cmd := command()
		cmd.Stdout, cmd.Stderr = log, log
		return process.Start(cmd)
	}
	child, err := start()
	if err != nil {
		return nil, err
	}
	k.work.Go(func() {
		defer func() { _ = log.Close() }()
		k.run(child, start)
	})
	return k, nil
}

func (k *keeper) run(child *process.Process, start func() (*process.Process, error)) {
	for {
		select {
		case <-k.stopping:
			k.err = child.Stop(stopTime)
			return
		case <-child.Done():
		}
		k.restarts.Add(1)
		select {
		case <-k.stopping:
			return
		case <-time.After(restartPause):
		}
		if child, k.err = start(); k.err != nil {
			return
		}
	}
}

func (k *keeper) stop() error {
	close(k.stopping)
	k.work.Wait()
	return k.err
}
