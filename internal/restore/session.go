package restore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"
	"sync/atomic"

	"cargoship.dev/operator/internal/archive"
)

// Reasons why a member is not restored.
const (
	reasonNotRestored = "NotRestored"
	reasonAttributes  = "AttributesNotRestored"
	reasonConflict    = "FileExists"
	reasonNotSelected = "NotSelected"
	reasonNotArchived = "NotArchived"
)

// verdict is why a member is not restored.
type verdict struct {
	outcome         archive.Outcome
	reason, message string
}

// Session restores one archive at a time, for those who divide a run among several processes.
// Each of them may restore any archive, also one that another has begun; the last one of them
// finishes. It is safe for concurrent use.
type Session struct {
	options     Options
	root        *os.Root
	directories *directories
	unsynced    *unsynced
	clock       *clock

	incomplete atomic.Bool

	roomOnce sync.Once
	room     *roomCheck

	mu         sync.Mutex
	unanswered error
}

// NewSession opens the directory to restore into, and makes it if it is not there. The
// directory above it must be.
func NewSession(o Options, dir string) (*Session, error) {
	above, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the volume to restore into: %w", err)
	}
	if dir = path.Clean("/" + dir)[1:]; dir == "" {
		return openSession(o, above)
	}
	defer above.Close() //nolint:errcheck // Nothing is written through it.
	if err := above.MkdirAll(dir, os.ModePerm); err != nil {
		return nil, fmt.Errorf("make the directory %q to restore into: %w", dir, cause(err))
	}
	root, err := above.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory %q to restore into: %w", dir, cause(err))
	}
	return openSession(o, root)
}

// openSession finds out whether files can be made in a directory, before each of them fails.
func openSession(o Options, root *os.Root) (*Session, error) {
	s := &Session{options: o, root: root, directories: newDirectories(root, o), clock: &clock{root: root}}
	err := s.directories.prepare(".")
	if err == nil {
		name := temporaryName(".", rand.Text())
		var f *os.File
		if f, err = root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			err = errors.Join(f.Close(), root.Remove(name))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a file in the directory to restore into: %w", cause(err)), root.Close())
	}
	if s.unsynced, err = newUnsynced(root, o); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// Close syncs what archives have placed that were not restored to the end, and closes the directory.
func (s *Session) Close() error {
	r := s.restorer()
	err := r.sync(s.unsynced.failures())
	s.clock.close()
	return errors.Join(err, s.unsynced.close(), s.root.Close())
}

// Archive restores what is selected of an archive, but for the attributes of directories, and
// returns its members with what became of each here, once the file system was synced. The error is
// that of one who can't go on, as Full tells, or of a server that can't answer now, as Transient tells.
func (s *Session) Archive(ctx context.Context, m archive.Manifest) ([]archive.Member, error) {
	r := s.restorer()
	r.handsOver = true
	since := s.unsynced.failures()
	j := r.sort(ctx, m)
	files := j.packed[:0]
	for _, f := range j.packed {
		if f.Kind != archive.Directory {
			files = append(files, f)
		}
	}
	j.packed = files
	if err := r.work(ctx, m, j); err != nil {
		return nil, err
	}
	if err := r.sync(since); err != nil {
		return nil, err
	}
	return s.outcomes(m, r.verdicts), ctx.Err()
}

// Finish restores what of an archive is missing, its directories with their attributes, and
// returns what Archive does. A file that the server can't answer for counts as failed, and is told by
// Unanswered. Close has to follow, by way of FinishDirectories.
func (s *Session) Finish(ctx context.Context, m archive.Manifest) ([]archive.Member, error) {
	r := s.restorer()
	if err := r.archive(ctx, m); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.unanswered = cmp.Or(s.unanswered, r.unanswered)
	s.mu.Unlock()
	members := s.outcomes(m, r.verdicts)
	for _, f := range members {
		if f.Outcome == archive.Done {
			// Directories that lead to what others have restored are to be finished, too.
			if err := s.directories.prepare(path.Dir(f.Path)); err != nil {
				return nil, err
			}
		}
	}
	return members, ctx.Err()
}

// Unanswered returns the error of a file that Finish could not restore since the server did not
// answer, which another attempt may get over; nil if there was none.
func (s *Session) Unanswered() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unanswered
}

// Incomplete says that an archive can't be finished. Directories that were made and of which no other
// archive tells the mode stay private.
func (s *Session) Incomplete() { s.incomplete.Store(true) }

// FinishDirectories gives all directories that were finished the attributes that they are to have,
// and returns the first failure of one that must have them, or nil.
func (s *Session) FinishDirectories(ctx context.Context) *Failure {
	r := s.restorer()
	r.finish(ctx.Err() == nil, !s.incomplete.Load())
	if err := s.unsynced.flush(s.unsynced.dir); err != nil {
		return &Failure{".", fmt.Sprintf("sync the file system: %v", err)}
	}
	if s.options.Strict && len(r.summary.AttributeFailures) > 0 {
		return &r.summary.AttributeFailures[0]
	}
	return nil
}

func (s *Session) restorer() *restorer {
	return &restorer{
		options: s.options, root: s.root, directories: s.directories, unsynced: s.unsynced, clock: s.clock,
		slots: make(slots, requestsAtOnce), verdicts: map[string]verdict{},
	}
}

// outcomes are the members of an archive with what became of each at the target.
func (s *Session) outcomes(m archive.Manifest, verdicts map[string]verdict) []archive.Member {
	members := make([]archive.Member, len(m.Members))
	for i, f := range m.Members {
		v, judged := verdicts[f.Path]
		switch {
		case f.Outcome == archive.Skipped, !s.options.takes(f.Path):
			v = verdict{archive.Skipped, reasonNotSelected, ""}
		case f.Outcome != archive.Done:
			v = verdict{archive.Failed, reasonNotArchived, fmt.Sprintf("%q was not archived: %s", f.Path, f.Message)}
		case !judged:
			v.outcome = archive.Done
		default:
			v.message = fmt.Sprintf("restore %q: %s", f.Path, v.message)
		}
		members[i] = archive.Member{Path: f.Path, Size: f.Size, Outcome: v.outcome, Reason: v.reason, Message: v.message}
	}
	return members
}

// note keeps why a member is not restored; the first reason counts. The caller holds the lock.
func (r *restorer) note(path string, v verdict) {
	if _, judged := r.verdicts[path]; r.verdicts != nil && !judged {
		r.verdicts[path] = v
	}
}

// Full says that the target takes nothing more, of any file.
func Full(err error) bool { return full(err) }
