package archive

import (
	"fmt"
	"strings"
)

// CheckManifest returns an error unless the manifest is that of an archive of the run, and
// all objects that it names have keys which this run, or one before it below the same
// prefix, gives to just these members. So a manifest cannot have other objects of the
// bucket restored.
func (l Layout) CheckManifest(m Manifest, prefix string, number int64) error {
	if m.Transfer != l.UID || m.Prefix != prefix || m.Number != number {
		return fmt.Errorf("it is the manifest of archive %d of prefix %q of run %s", m.Number, m.Prefix, m.Transfer)
	}
	if m.Object != nil && !l.mayBeArchive(m.Object.Key, prefix) {
		return fmt.Errorf("it names the object %q, which is not an archive of prefix %q", m.Object.Key, prefix)
	}
	for _, f := range m.Members {
		if err := l.checkMember(f, prefix); err != nil {
			return err
		}
	}
	return nil
}

// checkMember returns an error unless a member's object may be its own, its place is one that a
// tar has, and its digest proves what those of the run do.
func (l Layout) checkMember(m Member, prefix string) error {
	switch {
	case m.Key != "" && !l.mayBeFile(m.Key, prefix, m.Path):
		return fmt.Errorf("it names the object %q, which does not belong to %q", m.Key, m.Path)
	case m.Tar == nil:
		return nil
	case !m.Tar.possible():
		return fmt.Errorf("it has %q at an impossible place", m.Path)
	case m.Kind != File || m.Outcome != Done || l.Tar == nil:
		return nil
	case l.Tar.DigestAlgorithm() == DigestSHA256 && m.Tar.Digest.Algorithm != DigestSHA256:
		return fmt.Errorf("the digest of %q is not the %s that the run has of every file", m.Path, DigestSHA256)
	default:
		return nil
	}
}

// possible says that nothing is before the beginning of a tar or of its frame, nor further behind
// than a transfer has bytes.
func (p Place) possible() bool {
	for _, n := range []int64{p.Offset, p.Length, p.Data - p.Offset, p.Frame.Offset, p.Frame.Length, p.Frame.TarOffset, p.Offset - p.Frame.TarOffset} {
		if n < 0 || n > maxPlannedBytes {
			return false
		}
	}
	return true
}

// mayBeArchive says that the key is that of an archive of this run or of another.
func (l Layout) mayBeArchive(key, prefix string) bool {
	name, ok := strings.CutPrefix(key, l.under(prefix+"/"))
	if !ok || l.Tar == nil {
		return false
	}
	if run, rest, within := strings.Cut(name, "/"); within {
		if name = rest; !fileName(run) {
			return false
		}
	}
	_, ok = numberInKey(name, l.Tar.Name+"-", l.Tar.suffix())
	return ok
}

// mayBeFile says that the key is that of the file at the path, in this run or another.
func (l Layout) mayBeFile(key, prefix, p string) bool {
	if l.Tar == nil {
		return key == l.Key(prefix, p)
	}
	rest, ok := strings.CutPrefix(key, l.under(prefix+"/"))
	if rest == largeDir+"/"+p {
		return ok
	}
	run, rest, within := strings.Cut(rest, "/")
	return ok && within && fileName(run) && rest == largeDir+"/"+p
}

// RunPrefixes are what the keys of all objects begin with that a packed run stores under
// keys of its own.
func (l Layout) RunPrefixes() []string {
	if l.Tar == nil || l.Run == "" {
		return nil
	}
	var all []string
	for _, prefix := range l.Prefixes() {
		all = append(all, l.under(prefix+"/"+l.Run+"/"))
	}
	return all
}

// Owns says that the key is that of an archive or a large file of this packed run.
func (l Layout) Owns(key string) bool {
	if l.Run == "" {
		return false
	}
	_, _, isArchive := l.LocateArchive(key)
	_, _, isFile := l.Locate(key)
	return isArchive || isFile
}

// IsManifestKey says that the key is that of a manifest of the run with the UID below the
// base.
func IsManifestKey(base, uid, key string) bool {
	l := Layout{Base: base, UID: uid}
	rest, ok := strings.CutPrefix(key, l.BookkeepingPrefix()+"manifests/")
	return ok && strings.HasSuffix(rest, manifestSuffix)
}
