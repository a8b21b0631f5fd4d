package servers

import (
	"errors"
	"os/exec"
	"sync"
	"testing"

	"cargoship.dev/operator/test/kit/process"
)

// family is the processes that a run has started.
type family struct {
	mu      sync.Mutex
	ended   bool
	members []*process.Process
}

// children are those of this run; an interrupt stops them.
var children family

// start starts a process, unless the run is being stopped.
func (f *family) start(cmd *exec.Cmd) (*process.Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return nil, errors.New("the run is being stopped")
	}
	child, err := process.Start(cmd)
	if err == nil {
		f.members = append(f.members, child)
	}
	return child, err
}

// run runs one to its end.
func (f *family) run(cmd *exec.Cmd) error {
	child, err := f.start(cmd)
	if err != nil {
		return err
	}
	<-child.Done()
	return child.Err()
}

// stop kills all of them and waits; none is started afterwards. A process that was waited
// for is left alone, since its ID may be another's by now.
func (f *family) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for _, child := range f.members {
		select {
		case <-child.Done():
		default:
			_ = child.Stop(0)
		}
	}
}

func TestStopEndsEveryChild(t *testing.T) {
	var f family
	var all []*process.Process
	for _, program := range []string{"sleep 600", "trap '' TERM INT; sleep 600 & wait", "exit 0"} {
		child, err := f.start(exec.Command("sh", "-c", program))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = child.Stop(0) })
		all = append(all, child)
	}
	f.stop()
	for i, child := range all {
		select {
		case <-child.Done():
		default:
			t.Errorf("child %d is still running", i)
		}
	}
	if err := f.run(exec.Command("true")); err == nil {
		t.Error("a process was started after the end")
	}
}
