package restore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"cargoship.dev/operator/internal/archive"
)

// links makes the links of an archive, after the files that hard links are other names of.
func (r *restorer) links(ctx context.Context, m archive.Manifest, links []archive.Member) error {
	targets := map[string]archive.Member{}
	for _, f := range m.Members {
		if f.Kind == archive.File && f.Outcome == archive.Done {
			targets[f.Path] = f
		}
	}
	for _, l := range links {
		err := archive.WhenScarce(ctx, func() error { return r.link(l, targets) })
		if full(err) {
			return ending(l.Path, err)
		}
		r.done(l, err)
	}
	return nil
}

// link creates a symbolic or hard link, replacing any file or link of that name.
func (r *restorer) link(m archive.Member, targets map[string]archive.Member) error {
	if err := r.directories.prepare(path.Dir(m.Path)); err != nil {
		return err
	}
	if m.Kind == archive.HardLink {
		return r.hardLink(m, targets)
	}
	if to, err := r.root.Readlink(m.Path); err == nil && to == m.Link {
		r.attributeFailure(m, r.setLinkAttributes(m))
		return nil
	}
	if err := r.putLink(m, r.root.Symlink); err != nil {
		return err
	}
	r.attributeFailure(m, r.setLinkAttributes(m))
	return nil
}

// hardLink creates a hard link to a file, which must be the one that was archived.
func (r *restorer) hardLink(m archive.Member, targets map[string]archive.Member) error {
	target, archived := targets[m.Link]
	info := r.existing(target)
	if !archived || info == nil {
		return fmt.Errorf("its hard link target %q was not restored", m.Link)
	}
	if named(r.root, info, m.Path) {
		return nil
	}
	if r.conflicts(m) {
		return errKept
	}
	return r.putLink(m, func(to, name string) error {
		err := r.root.Link(to, name)
		if err != nil && named(r.root, info, name) {
			return nil // Another process has made it.
		}
		return err
	})
}

// putLink gives a new link its place, which may be taken meanwhile.
func (r *restorer) putLink(m archive.Member, link func(to, name string) error) error {
	err := link(m.Link, m.Path)
	if !errors.Is(err, fs.ErrExist) {
		return localError("create link", err)
	}
	if r.conflicts(m) {
		return errKept
	}
	temporary := r.temporaryName(m.Path) + "-" + rand.Text() // which no other process knows
	if err := link(m.Link, temporary); err != nil {
		return localError("create link", err)
	}
	err = r.root.Rename(temporary, m.Path)
	// If another process has made the same hard link, renaming has done nothing.
	_ = r.root.Remove(temporary)
	return localError("rename the link", err)
}

// setLinkAttributes sets time and owner of a symbolic link.
func (r *restorer) setLinkAttributes(m archive.Member) error {
	var failed error
	if r.options.SameOwner {
		if err := r.root.Lchown(m.Path, m.UID, m.GID); err != nil {
			failed = fmt.Errorf("set owner %d:%d: %w", m.UID, m.GID, cause(err))
		}
	}
	dir, err := r.root.Open(path.Dir(m.Path))
	if err == nil {
		err = setLinkTime(dir, path.Base(m.Path), m.ModTime)
		_ = dir.Close() // Nothing was written to it.
	}
	return errors.Join(failed, err)
}

// existing returns the file's information if it exists with the right size and time, as far as the file
// system stores times, or nil. What is beyond a link is another file.
func (r *restorer) existing(f archive.Member) fs.FileInfo {
	info, err := r.root.Lstat(f.Path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.Size || r.directories.beyond(f.Path) {
		return nil
	}
	if at := info.ModTime(); !at.Equal(f.ModTime) && !at.Equal(r.clock.stored(f.ModTime)) {
		return nil
	}
	return info
}
