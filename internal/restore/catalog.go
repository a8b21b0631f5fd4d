package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/transfer"
)

// Bucket is where the archives are; *transfer.Client is one.
type Bucket interface {
	Get(ctx context.Context, key string) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
	Stat(ctx context.Context, key string) (transfer.ObjectInfo, error)
	OpenRange(ctx context.Context, key, etag string, offset, length int64) (io.ReadCloser, error)
}

// ErrNoIndex says that no transfer below the prefix has written its index.
var ErrNoIndex = errors.New("no finished transfer with manifests")

// Catalog tells what one transfer has archived.
type Catalog struct {
	Index  archive.Index
	bucket Bucket
}

// Open reads the index of a transfer below a base prefix: the one with the UID
// given, or else the one that ended last.
func Open(ctx context.Context, b Bucket, base, uid string) (*Catalog, error) {
	keys, err := b.List(ctx, archive.IndexPrefix(base, uid))
	if err != nil {
		return nil, fmt.Errorf("look for the index: %w", err)
	}
	var newest *archive.Index
	for _, key := range keys {
		if !archive.IsIndexKey(base, key) {
			continue
		}
		data, err := b.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read the index: %w", err)
		}
		index, err := archive.DecodeIndex(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if newest == nil || index.Written.After(newest.Written) {
			newest = &index
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("below prefix %q: %w: check prefix and transfer, or let the transfer finish", base, ErrNoIndex)
	}
	return &Catalog{*newest, b}, nil
}

// Earlier returns the manifest of an archive for a transfer with a layout of its own,
// and whether there is one and its tar stands as it says. Only a transfer that lays
// out its keys and archives alike has one.
func (c *Catalog) Earlier(ctx context.Context, l archive.Layout, prefix string, number int64) (archive.Manifest, bool, error) {
	same := l
	same.UID = c.Index.Layout.UID
	if !reflect.DeepEqual(same, c.Index.Layout) {
		return archive.Manifest{}, false, nil
	}
	data, err := c.bucket.Get(ctx, same.ManifestKey(same.Index(prefix), number))
	if errors.Is(err, transfer.ErrNotFound) {
		return archive.Manifest{}, false, nil
	}
	if err != nil {
		return archive.Manifest{}, false, err
	}
	m, err := archive.DecodeManifest(data)
	if err != nil || m.Object == nil {
		return m, false, err
	}
	err = stat(ctx, c.bucket, *m.Object)
	if errors.As(err, new(different)) || errors.Is(err, transfer.ErrNotFound) {
		return m, false, nil
	}
	return m, err == nil, err
}

// Manifests returns the manifests of the transfer by prefix and number. It ends
// with the first error.
func (c *Catalog) Manifests(ctx context.Context) iter.Seq2[archive.Manifest, error] {
	return func(yield func(archive.Manifest, error) bool) {
		for _, p := range c.Index.Prefixes {
			keys, err := c.bucket.List(ctx, p.ManifestPrefix)
			if err == nil && int64(len(keys)) < p.Archives {
				err = fmt.Errorf("%d of %d manifests stand below %s", len(keys), p.Archives, p.ManifestPrefix)
			}
			if err != nil {
				yield(archive.Manifest{}, fmt.Errorf("list manifests: %w", err))
				return
			}
			slices.Sort(keys)
			for _, key := range keys {
				m, err := c.manifest(ctx, key)
				if !yield(m, err) || err != nil {
					return
				}
			}
		}
	}
}

func (c *Catalog) manifest(ctx context.Context, key string) (archive.Manifest, error) {
	data, err := c.bucket.Get(ctx, key)
	if err != nil {
		return archive.Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	m, err := archive.DecodeManifest(data)
	if err != nil {
		return m, fmt.Errorf("%s: %w", key, err)
	}
	return m, nil
}

// Selection chooses members by glob patterns, in which ** stands for any number
// of directories. A pattern that matches a directory takes in all below it; no
// pattern at all takes in everything.
type Selection []string

// Validate returns an error that names a pattern which is none.
func (s Selection) Validate() error {
	for _, p := range s {
		if !doublestar.ValidatePattern(clean(p)) {
			return fmt.Errorf("%q is no glob pattern", p)
		}
	}
	return nil
}

// Takes says that the path is selected.
func (s Selection) Takes(p string) bool {
	if len(s) == 0 {
		return true
	}
	for ; p != "." && p != ""; p = path.Dir(p) {
		if slices.ContainsFunc(s, func(pattern string) bool { return doublestar.MatchUnvalidated(clean(pattern), p) }) {
			return true
		}
	}
	return false
}

func clean(pattern string) string { return strings.Trim(strings.TrimPrefix(pattern, "./"), "/") }

// run is members of one tar that one request fetches, in their order.
type run struct {
	object  archive.Object
	members []archive.Member
}

// maxGap is how many bytes between two members are rather fetched than a second
// request made.
const maxGap = 256 << 10

// runs divides members of a tar.
func runs(object archive.Object, members []archive.Member) []run {
	slices.SortStableFunc(members, func(a, b archive.Member) int { return cmp.Compare(a.Tar.Offset, b.Tar.Offset) })
	var list []run
	var end int64
	for i, m := range members {
		if i == 0 || m.Tar.Frame.Offset > end+maxGap {
			list = append(list, run{object: object})
		}
		last := &list[len(list)-1]
		last.members = append(last.members, m)
		end = max(end, m.Tar.Frame.Offset+m.Tar.Frame.Length)
	}
	return list
}
