package restore

import (
	"errors"
	"fmt"
	"os"
)

// newRestorer opens the directory to restore into.
func newRestorer(o Options) (*restorer, error) {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory to restore into: %w", err)
	}
	unsynced, err := newUnsynced(root, o)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &restorer{
		options: o, root: root, directories: newDirectories(root, o), unsynced: unsynced, clock: &clock{root: root},
		slots: make(slots, requestsAtOnce),
	}, nil
}

// close closes it. What was written is synced before.
func (r *restorer) close() {
	r.clock.close()
	_ = r.unsynced.close()
	_ = r.root.Close()
}
