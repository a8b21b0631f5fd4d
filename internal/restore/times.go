package restore

import (
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"time"
)

// coarsest is how exact the times of any file system are: those of FAT.
const coarsest = 2 * time.Second

// clock tells how a file system stores times: some keep whole seconds only, or none beyond 2038. It asks
// with a file of its own, on Linux only: it has no name, so that none is left behind.
type clock struct {
	root *os.Root

	mu    sync.Mutex
	asked bool
	// probe is nil before the first question, and where no file can be made.
	probe *os.File
}

// stored returns a time as the file system stores it.
func (c *clock) stored(at time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked {
		c.asked = true
		name := temporaryName(".", rand.Text())
		if f, err := c.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			c.probe = f
			_ = c.root.Remove(name)
		}
	}
	if c.probe == nil || setTime(c.root, c.probe, "", at) != nil {
		return at
	}
	info, err := c.probe.Stat()
	if err != nil {
		return at
	}
	return info.ModTime()
}

// give sets the time of an open file or directory. What comes back may be coarser, and must not be
// another time.
func give(dir *os.Root, f *os.File, name string, at time.Time) error {
	if err := setTime(dir, f, name, at); err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.ModTime().Sub(at).Abs() > coarsest {
		return localError("set time", fmt.Errorf("its time is %s after it was set to %s", info.ModTime().UTC().Format(time.RFC3339), at.UTC().Format(time.RFC3339)))
	}
	return nil
}

// close closes the file.
func (c *clock) close() {
	if c.probe != nil {
		_ = c.probe.Close()
	}
}
