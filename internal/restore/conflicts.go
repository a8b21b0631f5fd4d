package restore

import (
	"errors"

	"cargoship.dev/operator/internal/archive"
)

// Conflicts says what to do with an existing file that differs from the archived one: of
// another size or time, or a link that leads elsewhere.
type Conflicts string

const (
	// Replace puts the archived one in its place.
	Replace Conflicts = "Replace"
	// Keep leaves it, and the archived one out.
	Keep Conflicts = "Keep"
	// Fail leaves it, and the archived one fails.
	Fail Conflicts = "Fail"
)

var (
	errExists = errors.New("another file exists there: remove it, or restore with conflicts Replace or Keep")
	// errKept says that what exists was left, which is noted already.
	errKept = errors.New("what exists is kept")
)

// takes says that a path is to be restored.
func (o Options) takes(p string) bool {
	return o.Selection.Takes(p) && (len(o.Exclude) == 0 || !o.Exclude.Takes(p))
}

// replaces says that what exists gives way, and directories that exist get the attributes of the
// archived ones.
func (o Options) replaces() bool { return o.Conflicts == "" || o.Conflicts == Replace }

// inTheWay says that something exists in the place of a member that is not to be replaced.
func (r *restorer) inTheWay(m archive.Member) bool {
	if r.options.replaces() {
		return false
	}
	if _, err := r.root.Lstat(m.Path); err != nil {
		return false
	}
	switch m.Kind {
	case archive.File:
		return r.existing(m) == nil
	case archive.Symlink:
		to, err := r.root.Readlink(m.Path)
		return err != nil || to != m.Link
	default:
		return true
	}
}

// conflicts says the same, and records the outcome of such a member.
func (r *restorer) conflicts(m archive.Member) bool {
	if !r.inTheWay(m) {
		return false
	}
	if r.options.Conflicts == Fail {
		r.fail(m.Path, errExists)
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(m.Path, verdict{archive.Skipped, reasonConflict, "what exists is kept"})
	return true
}
