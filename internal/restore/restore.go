package restore

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/transfer"
)

// parallel is how many archives, or large objects, are read at a time.
const parallel = 4

// maxFailures bounds the failures that are kept to be listed.
const maxFailures = 1000

// Options says what to bring back and where to.
type Options struct {
	Catalog   *Catalog
	Selection Selection
	// Dir is the directory to restore into. Nothing outside of it is touched,
	// whatever the archives hold.
	Dir string
	// SameOwner gives the files their owners back, which takes privileges.
	SameOwner bool
	// Progress is called with every file, never twice at a time; nil for no one.
	Progress func(Summary)
}

// Summary tells what a restore has done.
type Summary struct {
	// Files counts what was restored: files, directories and links; Bytes sums the
	// sizes of the files.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// Present counts the files that stood there already, of the same size and time.
	Present int64 `json:"present"`
	// Failed counts what could not be restored, Missing what was never archived.
	Failed  int64 `json:"failed"`
	Missing int64 `json:"missing"`

	// Failures names what failed, at least the first 1,000.
	Failures []Failure `json:"-"`
}

// Failure tells why something failed.
type Failure struct{ Path, Message string }

// Run restores. Single files that fail are in the summary, which holds with an
// error too. What is restored already isn't fetched again.
func Run(ctx context.Context, o Options) (Summary, error) {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return Summary{}, fmt.Errorf("open the directory to restore into: %w", err)
	}
	defer func() { _ = root.Close() }()
	r := &restorer{options: o, root: root}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for m, err := range o.Catalog.Manifests(working) {
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		group.Go(func() error { return r.archive(working, m) })
	}
	err = group.Wait()
	// Directories come last, since whatever is put into them changes their times.
	r.finishDirectories()
	return r.summary, err
}

type restorer struct {
	options Options
	root    *os.Root

	mu          sync.Mutex
	summary     Summary
	directories []directory
}

// directory is one whose attributes are set at the end.
type directory struct {
	member archive.Member
	xattrs map[string]string
}

// archive restores what is selected of one archive.
func (r *restorer) archive(ctx context.Context, m archive.Manifest) error {
	j := r.sort(m)
	for _, d := range j.directories {
		r.done(d, r.root.MkdirAll(d.Path, 0o755))
	}
	for _, f := range j.apart {
		if err := r.object(ctx, f); err != nil {
			return err
		}
	}
	for len(j.packed) > 0 {
		rest, err := r.packed(ctx, *m.Object, j.packed)
		if err != nil {
			return err
		}
		j.packed = rest
	}
	for _, l := range j.links {
		r.done(l, r.link(l))
	}
	return nil
}

// job is what is to be done for one archive.
type job struct {
	directories, apart, packed, links []archive.Member
}

// sort finds what is selected and not there yet.
func (r *restorer) sort(m archive.Manifest) job {
	var j job
	var missing, present int64
	for _, f := range m.Members {
		switch {
		case !r.options.Selection.Takes(f.Path):
		case f.Outcome != archive.Done:
			missing++
		case f.Kind == archive.Directory:
			j.directories = append(j.directories, f)
			if hasAttributes(f) {
				j.packed = append(j.packed, f)
			} else {
				r.later(directory{member: f})
			}
		case f.Kind == archive.Symlink:
			j.links = append(j.links, f)
		case f.Kind == archive.HardLink && r.options.Selection.Takes(f.Link):
			j.links = append(j.links, f)
		case f.Kind == archive.HardLink:
			if target, ok := m.Target(f); ok {
				j.packed = append(j.packed, target)
			}
		case r.stands(f):
			present++
		case f.Tar == nil:
			j.apart = append(j.apart, f)
		default:
			j.packed = append(j.packed, f)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Missing += missing
	r.summary.Present += present
	return j
}

func hasAttributes(m archive.Member) bool { return m.Tar != nil && len(m.Tar.Attributes) > 0 }

// later keeps a directory to be dressed at the end.
func (r *restorer) later(d directory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.directories = append(r.directories, d)
}

// stands says that the file is there already, as far as size and time tell.
func (r *restorer) stands(f archive.Member) bool {
	info, err := r.root.Lstat(f.Path)
	return err == nil && info.Mode().IsRegular() && info.Size() == f.Size && info.ModTime().Equal(f.ModTime)
}

// packed restores members of a tar. One that fails for itself is passed over: the
// members behind it are returned.
func (r *restorer) packed(ctx context.Context, object archive.Object, members []archive.Member) ([]archive.Member, error) {
	list := runs(object, members)
	for i, one := range list {
		left := slices.Clone(one.members)
		err := fetch(ctx, r.options.Catalog.bucket, one, func(m archive.Member, h *tar.Header, c content) error {
			err := r.member(ctx, m, h, c)
			if err == nil {
				left = left[1:]
			}
			if err == nil && m.Kind != archive.Directory { // which is counted when it is made
				r.done(m, nil)
			}
			return err
		})
		if err == nil {
			continue
		}
		failed, err := concerns(ctx, left, err)
		if failed == 0 {
			return nil, err
		}
		for _, m := range left[:failed] {
			r.done(m, err)
		}
		rest := left[failed:]
		for _, later := range list[i+1:] {
			rest = append(rest, later.members...)
		}
		return rest, nil
	}
	return nil, nil
}

// concerns returns how many of the members that are left an error is about: none if
// it is about the bucket or the connection, all if the archive is not there, and else
// the first, since damage and what the file system refuses can't be told apart.
func concerns(ctx context.Context, left []archive.Member, err error) (int, error) {
	_, request := errors.AsType[*transfer.Error](err)
	switch {
	case errors.Is(err, transfer.ErrNotFound):
		return len(left), err
	case ctx.Err() != nil, request, errors.As(err, new(readError)):
		return 0, err
	default:
		return 1, err
	}
}

// member restores one member of a tar.
func (r *restorer) member(ctx context.Context, m archive.Member, h *tar.Header, c content) error {
	xattrs := attributesOf(h)
	if m.Kind == archive.Directory {
		r.later(directory{m, xattrs})
		return nil
	}
	return r.place(m, xattrs, func(w sink) error { return c.copyTo(ctx, w) })
}

// object restores a file that is an object of its own.
func (r *restorer) object(ctx context.Context, m archive.Member) error {
	err := twice(func() error {
		return r.place(m, nil, func(w sink) error { return fetchObject(ctx, r.options.Catalog.bucket, m, w) })
	})
	if ctx.Err() != nil {
		return err
	}
	r.done(m, err)
	return nil
}

// link makes a symbolic or hard link, in place of whatever file or link is there.
func (r *restorer) link(m archive.Member) error {
	if err := r.parent(m.Path); err != nil {
		return err
	}
	if info, err := r.root.Lstat(m.Path); err == nil && !info.IsDir() {
		if err := r.root.Remove(m.Path); err != nil {
			return err
		}
	}
	if m.Kind == archive.HardLink {
		return r.root.Link(m.Link, m.Path)
	}
	if err := r.root.Symlink(m.Link, m.Path); err != nil {
		return err
	}
	return r.dressLink(m)
}

// parent makes the directory that a path lies in.
func (r *restorer) parent(p string) error {
	if dir := path.Dir(p); dir != "." {
		return r.root.MkdirAll(dir, 0o755)
	}
	return nil
}

// done takes down what became of a member.
func (r *restorer) done(m archive.Member, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.summary
	switch {
	case err != nil:
		s.Failed++
		if len(s.Failures) < maxFailures {
			s.Failures = append(s.Failures, Failure{m.Path, err.Error()})
		}
	default:
		s.Files++
		s.Bytes += m.Size
	}
	if r.options.Progress != nil {
		r.options.Progress(*s)
	}
}

// finishDirectories sets the attributes of directories, the deepest first.
func (r *restorer) finishDirectories() {
	slices.SortFunc(r.directories, func(a, b directory) int { return len(b.member.Path) - len(a.member.Path) })
	for _, d := range r.directories {
		if err := r.dressDirectory(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.done(d.member, err)
		}
	}
}
