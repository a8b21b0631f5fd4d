package restore

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

const (
	// parallel is how many archives are worked on at a time.
	parallel = 4
	// requestsAtOnce is how many requests for content are under way at a time.
	requestsAtOnce = 12
)

// maxFailures bounds the failures that are listed.
const maxFailures = 1000

// Options says what to restore, where and how.
type Options struct {
	Catalog   *Catalog
	Selection Selection
	// Exclude selects what is left out of that.
	Exclude Selection
	// Conflicts says what to do with an existing file that differs; empty means Replace.
	Conflicts Conflicts
	// Strict counts a member as failed whose attributes can't all be restored. Only a
	// Session looks at it.
	Strict bool
	// Dir is the directory to restore into. Nothing outside of it is touched, even by
	// malicious archives.
	Dir string
	// SameOwner restores owners, which requires privileges.
	SameOwner bool
	// Privileged restores set-ID bits of files, and extended attributes that the kernel and its
	// modules act upon. They come from whoever wrote the manifests.
	Privileged bool
	// Repair verifies the content of existing files, and replaces those that differ.
	Repair bool
	// Thaw, if not nil, tells which archives can be read: others are left out and counted as
	// Thawing, or with Wait are waited for.
	Thaw *Thawer
	Wait bool
	// Progress, if not nil, is called after every file, never concurrently.
	Progress func(Summary)

	// flush is for tests; nil is syncFileSystem.
	flush func(dir *os.File) error
}

// Summary is the outcome of a restore.
type Summary struct {
	// Files counts what was restored: files, directories and links; Bytes sums the
	// sizes of the files.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// Present counts files that existed with the same size and time, and Corrected those of
	// them whose mode, owner or extended attributes were set.
	Present   int64 `json:"present"`
	Corrected int64 `json:"corrected"`
	// Thawing counts the files of archives that can't be read yet.
	Thawing int64 `json:"thawing,omitempty"`
	// Failed counts what could not be restored, Missing what could not be archived; what a
	// transfer has skipped is in neither.
	Failed  int64 `json:"failed"`
	Missing int64 `json:"missing"`
	// AttributesFailed counts files restored with incomplete attributes. AttributesLeftOut
	// counts files with attributes that are only restored with Privileged.
	AttributesFailed  int64 `json:"attributesFailed"`
	AttributesLeftOut int64 `json:"attributesLeftOut"`

	// Failures and AttributeFailures name what failed, at least the first 1,000.
	Failures          []Failure `json:"-"`
	AttributeFailures []Failure `json:"-"`
}

// Failure says why something failed.
type Failure struct{ Path, Message string }

// Run restores. Single files that fail are in the summary, which holds with an
// error too. What is restored already isn't fetched again.
func Run(ctx context.Context, o Options) (Summary, error) {
	r, err := newRestorer(o)
	if err != nil {
		return Summary{}, err
	}
	defer r.close()
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	damaged := false
	for m, err := range o.Catalog.Select(working, o.Selection) {
		if manifest, ok := errors.AsType[*ManifestError](err); ok {
			damaged = true
			r.fail(manifest.Key, fmt.Errorf("read the files of an archive: %w", manifest.Err))
			continue
		}
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		group.Go(func() error { return r.traced(working, m) })
	}
	err = errors.Join(group.Wait(), r.sync(r.unsynced.failures()))
	// Directories come last, since creating files in them changes their times.
	r.finish(err == nil && ctx.Err() == nil, !damaged && r.summary.Thawing == 0)
	return r.summary, errors.Join(err, localError("sync the file system", r.unsynced.flush(r.unsynced.dir)))
}

type restorer struct {
	options     Options
	root        *os.Root
	directories *directories
	unsynced    *unsynced
	clock       *clock
	slots       slots
	// handsOver says that another process finishes: it has what fails tried again, and gives directories
	// their attributes, so that nobody else keeps these.
	handsOver bool

	mu      sync.Mutex
	summary Summary
	// unanswered is the first error of a member that the server has not answered for; nil for none.
	unanswered error
	// verdicts are why members are not restored, by path; nil keeps none.
	verdicts map[string]verdict
}

// archive restores what is selected of one archive. Its error ends the run.
func (r *restorer) archive(ctx context.Context, m archive.Manifest) error {
	since := r.unsynced.failures()
	if err := r.work(ctx, m, r.sort(ctx, m)); err != nil {
		return err
	}
	return r.sync(since)
}

// work does what is to be done for an archive.
func (r *restorer) work(ctx context.Context, m archive.Manifest, j job) error {
	for _, d := range j.directories {
		err := r.directories.prepare(d.Path)
		if full(err) {
			return ending(d.Path, err)
		}
		r.done(d, err)
	}
	for _, f := range j.apart {
		if err := r.object(ctx, f); err != nil {
			return err
		}
	}
	if len(j.packed) > 0 {
		if err := r.packed(ctx, *m.Object, j.packed); err != nil {
			return err
		}
	}
	if len(j.links) == 0 {
		return ctx.Err()
	}
	return r.links(ctx, m, j.links)
}

// packed restores members of a tar, several runs of them at a time. Its error ends the
// restore.
func (r *restorer) packed(ctx context.Context, object archive.Object, members []archive.Member) error {
	t := &tarState{}
	group, working := errgroup.WithContext(ctx)
	for _, one := range runs(object, members) {
		release, err := r.slots.acquire(working)
		if err != nil {
			group.Go(func() error { return err }) // Unless there is a reason already.
			break
		}
		group.Go(func() error {
			defer release()
			return r.run(working, t, one)
		})
	}
	return group.Wait()
}

// tarState is what the runs of a tar have found out about it.
type tarState struct {
	mu sync.Mutex
	// err is why nothing of it can be had.
	err error
}

func (t *tarState) lost() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *tarState) lose(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

// run restores members of a tar that follow each other. One that fails for itself is passed over.
func (r *restorer) run(ctx context.Context, t *tarState, one run) error {
	for len(one.members) > 0 {
		err := t.lost()
		var left []archive.Member
		if err != nil {
			left = one.members
		} else if left, err = r.attempt(ctx, one); len(left) == 0 {
			// All members are verified and placed; what is left to read is padding.
			return ctx.Err()
		}
		failed := 1
		switch r.scope(ctx, err) {
		case ofRun:
			return ending(left[0].Path, err)
		case ofObject:
			t.lose(err)
			failed = len(left)
		}
		for _, m := range left[:failed] {
			r.failMember(m, err)
		}
		one.members = left[failed:]
	}
	return nil
}

// attempt restores members until one fails for another reason than the file system's, and returns
// what is left from it on.
func (r *restorer) attempt(ctx context.Context, one run) (left []archive.Member, err error) {
	left = one.members
	err = fetch(ctx, r.options.Catalog.bucket, one, func(m archive.Member, h *tar.Header, c content) error {
		err := r.member(ctx, m, h, c)
		if errors.As(err, new(local)) && !full(err) {
			// The archive is as it should be: on with the next member.
			r.failMember(m, err)
			left = left[1:]
			return nil
		}
		if err == nil {
			left = left[1:]
		}
		if err == nil && m.Kind != archive.Directory { // which is counted when it is made
			r.done(m, nil)
		}
		return err
	})
	return left, err
}

// member restores one member of a tar.
func (r *restorer) member(ctx context.Context, m archive.Member, h *tar.Header, c content) error {
	xattrs := xattrsOf(m, h)
	if m.Kind == archive.Directory {
		r.want(directory{m, xattrs})
		return nil
	}
	return r.place(ctx, m, xattrs, func(w *writer) error { return c.copyTo(ctx, w) })
}

// failMember records that a member of a tar can't be had. A directory is there nevertheless.
func (r *restorer) failMember(m archive.Member, err error) {
	if m.Kind != archive.Directory {
		r.done(m, err)
		return
	}
	r.want(directory{m, m.Xattrs})
	r.attributeFailure(m, err)
}

// object restores a file that is an object of its own. Its error ends the run.
func (r *restorer) object(ctx context.Context, m archive.Member) error {
	err := twice(func() error {
		return r.place(ctx, m, m.Xattrs, func(w *writer) error { return fetchObject(ctx, r.options.Catalog.bucket, r.slots, m, w) })
	})
	if err != nil && r.scope(ctx, err) == ofRun {
		return ending(m.Path, err)
	}
	r.done(m, err)
	return nil
}

// done records what became of a member.
func (r *restorer) done(m archive.Member, err error) {
	if errors.Is(err, errKept) {
		return // which is noted
	}
	if err != nil {
		r.fail(m.Path, err)
		return
	}
	r.count(func(s *Summary) {
		s.Files++
		s.Bytes += m.Size
	})
}

func (r *restorer) fail(path string, err error) {
	r.count(func(s *Summary) {
		s.Failed++
		s.Failures = appendFailure(s.Failures, path, err)
		if r.unanswered == nil && Transient(err) {
			r.unanswered = fmt.Errorf("restore %q: %w", path, err)
		}
		r.note(path, verdict{archive.Failed, reasonOf(err), err.Error()})
	})
}

// reasonOf is why a file is not restored, in a word: that of the server's answer, if it was one.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*s3.Error](err); ok && e.Reason != "" {
		return e.Reason
	}
	return reasonNotRestored
}

// attributeFailure records what could not be set of a member that is there, if anything.
func (r *restorer) attributeFailure(m archive.Member, err error) {
	if err == nil {
		return
	}
	r.count(func(s *Summary) {
		s.AttributesFailed++
		s.AttributeFailures = appendFailure(s.AttributeFailures, m.Path, err)
		if r.options.Strict {
			r.note(m.Path, verdict{archive.Failed, reasonAttributes, err.Error()})
		}
	})
}

// leftOut counts what is left out of attributes.
func (r *restorer) leftOut(d attributes) {
	if d.leftOut {
		r.count(func(s *Summary) { s.AttributesLeftOut++ })
	}
}

func (r *restorer) corrected() { r.count(func(s *Summary) { s.Corrected++ }) }

func (r *restorer) count(add func(*Summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.summary)
	if r.options.Progress != nil {
		r.options.Progress(r.summary)
	}
}

func appendFailure(list []Failure, path string, err error) []Failure {
	if len(list) < maxFailures {
		list = append(list, Failure{path, err.Error()})
	}
	return list
}
