package restore

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// Earlier finds what an earlier run has left that a run with the same layout can refer to,
// in a number of requests that grows with the logarithm of its archives. It is safe for
// concurrent use.
type Earlier struct {
	catalog *Catalog
	// prefixes are those that both runs have, by name.
	prefixes map[string]*earlierPrefix
}

// earlierPrefix holds what is known of the manifests of one prefix, whose members follow
// each other by path over all of them.
type earlierPrefix struct {
	mu       sync.Mutex
	archives int64
	// firsts are the first paths of manifests that were read.
	firsts map[int64]string
	// recent are the manifests read last, the last one at the end.
	recent []archive.Manifest
}

// maxRecent bounds the manifests of a prefix that are in memory.
const maxRecent = 3

// NewEarlier returns what a run with the layout can refer to in the catalog's; nothing if
// that lays out its keys and archives in another way.
func NewEarlier(c *Catalog, l archive.Layout) *Earlier {
	e := &Earlier{catalog: c, prefixes: map[string]*earlierPrefix{}}
	if !samePacking(c.Index.Layout, l) {
		return e
	}
	for _, p := range c.Index.Prefixes {
		e.prefixes[p.Name] = &earlierPrefix{archives: p.Archives, firsts: map[int64]string{}}
	}
	return e
}

// samePacking says that a run lays out keys and archives as an earlier one did, whose digests
// prove at least as much.
func samePacking(earlier, l archive.Layout) bool {
	earlier.UID, earlier.Run = l.UID, l.Run
	if earlier.Tar != nil && l.Tar != nil {
		if l.Tar.DigestAlgorithm() == archive.DigestSHA256 && earlier.Tar.DigestAlgorithm() != archive.DigestSHA256 {
			return false
		}
		tar := *earlier.Tar
		tar.Digest = l.Tar.Digest
		earlier.Tar = &tar
	}
	return reflect.DeepEqual(earlier, l)
}

// Archive returns the manifest of an archive that holds just what another would pack, and
// whose tar is as the manifest has it; nil if there is none.
func (e *Earlier) Archive(ctx context.Context, a archive.Archive) (*archive.Manifest, error) {
	m, err := e.around(ctx, a.Prefix, a.Entries[0].Path)
	if err != nil || m == nil || !m.Holds(a) {
		return nil, err
	}
	return unchanged(ctx, e.catalog.bucket, m)
}

// Key returns the key of the object of a file with a path, size and time; "" if there is
// none.
func (e *Earlier) Key(ctx context.Context, prefix string, entry archive.Entry) (string, error) {
	m, err := e.around(ctx, prefix, entry.Path)
	if err != nil || m == nil {
		return "", err
	}
	at := slices.IndexFunc(m.Members, func(f archive.Member) bool { return f.Path == entry.Path })
	if at < 0 || m.Members[at].Outcome != archive.Done || m.Members[at].Size != entry.Size {
		return "", nil
	}
	return m.Members[at].Key, nil
}

// around returns the manifest whose members a path lies among; nil if there is none.
func (e *Earlier) around(ctx context.Context, prefix, path string) (*archive.Manifest, error) {
	p := e.prefixes[prefix]
	if p == nil {
		return nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	low, high := int64(0), p.archives // the first that begins after the path is in low..high
	for low < high {
		middle := low + (high-low)/2
		first, err := e.first(ctx, prefix, p, middle)
		if err != nil {
			return nil, err
		}
		if archive.ComparePaths(first, path) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return nil, nil
	}
	m, err := e.read(ctx, prefix, p, low-1)
	return &m, err
}

func (e *Earlier) first(ctx context.Context, prefix string, p *earlierPrefix, number int64) (string, error) {
	if path, known := p.firsts[number]; known {
		return path, nil
	}
	m, err := e.read(ctx, prefix, p, number)
	if err != nil || len(m.Members) == 0 {
		return "", err
	}
	p.firsts[number] = m.Members[0].Path
	return m.Members[0].Path, nil
}

func (e *Earlier) read(ctx context.Context, prefix string, p *earlierPrefix, number int64) (archive.Manifest, error) {
	if at := slices.IndexFunc(p.recent, func(m archive.Manifest) bool { return m.Number == number }); at >= 0 {
		return p.recent[at], nil
	}
	m, err := e.catalog.Manifest(ctx, prefix, number)
	if err != nil {
		return m, err
	}
	p.recent = append(p.recent, m)
	if len(p.recent) > maxRecent {
		p.recent = slices.Delete(p.recent, 0, 1)
	}
	return m, nil
}

// Unfinished returns the manifest that a run which was interrupted has written of an
// archive, if it holds just what is planned for it now and its tar is as the manifest has
// it; nil if there is none.
func Unfinished(ctx context.Context, b Bucket, l archive.Layout, a archive.Archive) (*archive.Manifest, error) {
	data, err := b.Get(ctx, l.ManifestKey(l.Index(a.Prefix), a.Number))
	if errors.Is(err, s3.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := archive.DecodeManifest(data)
	if err != nil || l.CheckManifest(m, a.Prefix, a.Number) != nil || !m.Holds(a) {
		return nil, nil
	}
	return unchanged(ctx, b, &m)
}

// unchanged returns the manifest if its tar matches it.
func unchanged(ctx context.Context, b Bucket, m *archive.Manifest) (*archive.Manifest, error) {
	_, err := stat(ctx, b, *m.Object)
	if errors.As(err, new(different)) || errors.Is(err, s3.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}
