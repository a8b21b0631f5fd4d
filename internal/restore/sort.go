package restore

import (
	"context"
	"errors"
	"fmt"

	"cargoship.dev/operator/internal/archive"
)

// job is what is to be done for one archive.
type job struct {
	directories, apart, packed, links []archive.Member
}

// errNowhere says that a manifest has a file that it says to be stored, and not where.
var errNowhere = errors.New("the manifest names no object that holds it: verify the archives with cargoship verify")

// sort finds what is selected and not there yet.
func (r *restorer) sort(ctx context.Context, m archive.Manifest) job {
	var j job
	var missing, present int64
	for _, f := range m.Members {
		switch {
		case ctx.Err() != nil:
			return job{}
		case !r.options.takes(f.Path):
			if f.Kind == archive.Directory && f.Outcome == archive.Done && r.options.Selection.leads(f.Path) {
				r.lead(f)
			}
		case f.Outcome == archive.Skipped: // which is no file or link that could be archived
		case f.Outcome != archive.Done:
			missing++
		case f.Kind == archive.Directory:
			j.directories = append(j.directories, f)
			if inHeader(f) && located(m, f) {
				j.packed = append(j.packed, f)
			} else {
				r.want(directory{f, f.Xattrs})
			}
		default:
			if r.sortFile(ctx, &j, m, f) {
				present++
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.Missing += missing
	r.summary.Present += present
	return j
}

// sortFile adds a selected file or link to a job, unless it is present, is to be left out, or can't be had.
func (r *restorer) sortFile(ctx context.Context, j *job, m archive.Manifest, f archive.Member) (present bool) {
	f, archived := r.options.standIn(m, f)
	switch {
	case !archived:
		r.fail(f.Path, fmt.Errorf("its hard link target %q was not archived", f.Link))
	case f.Kind == archive.Symlink && r.conflicts(f):
	case f.Kind == archive.Symlink, f.Kind == archive.HardLink:
		j.links = append(j.links, f)
	case r.present(ctx, f):
		return true
	case r.conflicts(f):
	case !located(m, f):
		r.fail(f.Path, errNowhere)
	case f.Tar == nil:
		j.apart = append(j.apart, f)
	default:
		j.packed = append(j.packed, f)
	}
	return false
}

// want has a directory get its attributes at the end.
func (r *restorer) want(d directory) {
	if !r.handsOver {
		r.directories.want(d)
	}
}

// lead has one that something selected lies in do so.
func (r *restorer) lead(m archive.Member) {
	if !r.handsOver {
		r.directories.lead(m)
	}
}

// standIn returns what is restored in place of a member: of a hard link to a file that is not
// selected that file, with the link's path. It is false if the manifest has no such file.
func (o Options) standIn(m archive.Manifest, f archive.Member) (archive.Member, bool) {
	if f.Kind != archive.HardLink || o.takes(f.Link) {
		return f, true
	}
	if target, ok := m.Target(f); ok {
		return target, true
	}
	return f, false
}

// located says that a manifest tells where the content of a file is.
func located(m archive.Manifest, f archive.Member) bool {
	return f.Tar != nil && m.Object != nil || f.Tar == nil && f.Key != ""
}
