package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"

	"cargoship.dev/operator/internal/archive"
)

// Room is space in a file system.
type Room struct {
	// Bytes of content, and Files: whatever takes an inode.
	Bytes, Files int64
}

// lacks says that there is less of one or the other than is needed.
func (r Room) lacks(need Room) bool { return need.Bytes > r.Bytes || need.Files > r.Files }

// RoomError says that what is to be restored does not fit into the target.
type RoomError struct{ Needed, Free Room }

func (e *RoomError) Error() string {
	return fmt.Sprintf("the restore needs %d bytes and %d inodes, the file system has %d bytes and %d inodes left: enlarge it or free up space",
		e.Needed.Bytes, e.Needed.Files, e.Free.Bytes, e.Free.Files)
}

// CheckRoom returns a *RoomError if what Run would restore can't fit into the directory. What fits
// may still fill it: file systems need space of their own.
func CheckRoom(ctx context.Context, o Options) error {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return fmt.Errorf("open the directory to restore into: %w", err)
	}
	r := &roomCheck{restorer: &restorer{options: o, root: root, directories: newDirectories(root, o), clock: &clock{root: root}}}
	defer root.Close() //nolint:errcheck // Nothing is written through it.
	defer r.restorer.clock.close()
	return r.check(ctx, o.Catalog.Select(ctx, o.Selection))
}

// CheckRoom is the same for what the session restores of archives. As long as it does not fit and nothing
// changes, the archives are not read again.
func (s *Session) CheckRoom(ctx context.Context, manifests iter.Seq2[archive.Manifest, error]) error {
	s.roomOnce.Do(func() { s.room = &roomCheck{restorer: s.restorer()} })
	return s.room.check(ctx, manifests)
}

// roomCheck compares what is needed with what there is.
type roomCheck struct {
	restorer *restorer

	mu sync.Mutex
	// lacked is why it did not fit the last time.
	lacked *RoomError
}

func (c *roomCheck) check(ctx context.Context, manifests iter.Seq2[archive.Manifest, error]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The room is asked for first: others may be restoring into it meanwhile.
	free, known, err := roomIn(c.restorer.root)
	if err != nil {
		return localError("ask for the free space of the target", err)
	}
	if !known || !free.lacks(c.all()) {
		return nil
	}
	if c.lacked != nil && c.lacked.Free == free {
		return c.lacked
	}
	c.lacked = nil
	need, err := c.needed(ctx, manifests)
	if err != nil || !free.lacks(need) {
		return err
	}
	c.lacked = &RoomError{need, free}
	return c.lacked
}

// all is the most that the run can take: what it holds, as the index has it.
func (c *roomCheck) all() (sum Room) {
	for _, p := range c.restorer.options.Catalog.Index.Prefixes {
		if p.Outcomes == nil {
			return Room{1 << 62, 1 << 62} // An earlier release did not say.
		}
		sum.Bytes, sum.Files = sum.Bytes+p.Outcomes.Done.Bytes, sum.Files+p.Outcomes.Done.Files
	}
	return sum
}

// needed is the least that what is selected and not there yet takes. A manifest that is
// damaged is passed over: its restore says so.
func (c *roomCheck) needed(ctx context.Context, manifests iter.Seq2[archive.Manifest, error]) (sum Room, err error) {
	for m, err := range manifests {
		if err != nil && !errors.As(err, new(*ManifestError)) {
			return sum, err
		}
		for _, f := range m.Members {
			if f.Outcome != archive.Done || f.Kind == archive.HardLink || !c.restorer.options.takes(f.Path) {
				continue
			}
			if _, err := c.restorer.root.Lstat(f.Path); err != nil {
				sum.Files++
			}
			if f.Kind == archive.File && c.restorer.existing(f) == nil {
				sum.Bytes += stored(f)
			}
		}
		if ctx.Err() != nil {
			return sum, ctx.Err()
		}
	}
	return sum, nil
}

// stored is what a file takes at least: one with holes as much as the archive has of it.
func stored(f archive.Member) int64 {
	if f.Tar != nil && f.Tar.Sparse {
		return max(0, f.Tar.Offset+f.Tar.Length-f.Tar.Data)
	}
	return f.Size
}
