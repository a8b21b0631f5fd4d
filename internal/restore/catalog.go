package restore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
)

// Bucket is where the archives are; *s3.Client is one.
type Bucket interface {
	Get(ctx context.Context, key string) ([]byte, error)
	// GetAtMost is Get of an object of at most so many bytes.
	GetAtMost(ctx context.Context, key string, most int64) ([]byte, error)
	List(ctx context.Context, prefix string) ([]string, error)
	Stat(ctx context.Context, key string) (s3.ObjectInfo, error)
	OpenRange(ctx context.Context, key, etag string, offset, length int64) (io.ReadCloser, error)
}

// ErrNoIndex says that no transfer below the prefix has written its index.
var ErrNoIndex = errors.New("no finished transfer with manifests")

// Catalog lists what one run has archived.
type Catalog struct {
	Index archive.Index
	// Warnings name the indexes of other runs that are unusable, and what is damaged of the path
	// index once that has been used.
	Warnings []string

	bucket Bucket
	// gather bounds the members in memory of a selection; 0 for maxGathered.
	gather int
	mu     sync.Mutex
	// digests are those of the manifests, by prefix, once they are read.
	digests map[string]digestList
	// blocks are those of the path index; nil until it is used.
	blocks *blocks
}

// Open reads the index of a run below a base prefix: the one that is named, or else the
// one that ended last.
func Open(ctx context.Context, b Bucket, base, run string) (*Catalog, error) {
	return OpenAt(ctx, b, base, run, time.Time{})
}

// OpenAt does the same among the runs that were finished at a time; zero for all.
func OpenAt(ctx context.Context, b Bucket, base, run string, at time.Time) (*Catalog, error) {
	if err := archive.CheckBase(base); err != nil {
		return nil, err
	}
	all, warnings, err := indexes(ctx, b, base)
	if err != nil {
		return nil, err
	}
	if !at.IsZero() {
		all = slices.DeleteFunc(all, func(i archive.Index) bool { return i.Written.After(at) })
	}
	index, err := choose(all, run)
	if err != nil {
		err = fmt.Errorf("below prefix %q: %w", base, err)
		for _, w := range warnings {
			err = fmt.Errorf("%w; %s", err, w)
		}
		return nil, err
	}
	return &Catalog{Index: index, Warnings: warnings, bucket: b, digests: map[string]digestList{}}, nil
}

// directoryLister lists what follows a prefix up to the next slash; *s3.Client is one.
type directoryLister interface {
	ListDirectories(ctx context.Context, prefix string) ([]string, error)
}

// RunIDs returns the UIDs of all runs below a base that have any bookkeeping.
func RunIDs(ctx context.Context, b Bucket, base string) ([]string, error) {
	var keys []string
	var err error
	prefix := archive.RunsPrefix(base)
	if d, ok := b.(directoryLister); ok {
		keys, err = d.ListDirectories(ctx, prefix)
	} else {
		keys, err = b.List(ctx, prefix)
	}
	if err != nil {
		return nil, fmt.Errorf("look for runs: %w", err)
	}
	var ids []string
	for _, key := range keys {
		id, _, below := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		if below && id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// indexesAtOnce is how many indexes are read at a time.
const indexesAtOnce = 16

// indexes reads the indexes of all finished runs below a base. Those that cannot be used
// are named in warnings.
func indexes(ctx context.Context, b Bucket, base string) (all []archive.Index, warnings []string, err error) {
	ids, err := RunIDs(ctx, b, base)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(indexesAtOnce)
	for _, id := range ids {
		group.Go(func() error {
			key := archive.Layout{Base: base, UID: id}.IndexKey()
			index, unusable, err := readIndex(working, b, base, id)
			switch {
			case errors.Is(err, s3.ErrNotFound):
				return nil // The run is not finished.
			case err != nil:
				return fmt.Errorf("read the index: %w", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if unusable != nil {
				warnings = append(warnings, fmt.Sprintf("ignored %s: %v", key, unusable))
				return nil
			}
			all = append(all, index)
			return nil
		})
	}
	err = group.Wait()
	slices.SortFunc(all, func(a, b archive.Index) int {
		return cmp.Or(b.Written.Compare(a.Written), cmp.Compare(a.Layout.UID, b.Layout.UID))
	})
	slices.Sort(warnings)
	return all, warnings, err
}

// maxNamed bounds the runs listed in an error.
const maxNamed = 10

// choose returns the run with a UID, NAME or NAME@TIME; without one, the latest. The runs
// are sorted, the latest first.
func choose(all []archive.Index, run string) (archive.Index, error) {
	if len(all) == 0 {
		return archive.Index{}, fmt.Errorf("%w: check prefix and transfer, or wait until the transfer is complete", ErrNoIndex)
	}
	if run == "" {
		return all[0], nil
	}
	var found []archive.Index
	for _, i := range all {
		name := RunName(i)
		if i.Layout.UID == run || name == run {
			return i, nil
		}
		if i.Name == run {
			found = append(found, i)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	var names []string
	for _, i := range all[:min(len(all), maxNamed)] {
		names = append(names, fmt.Sprintf("%s (%s)", RunName(i), i.Layout.UID))
	}
	if more := len(all) - maxNamed; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	what := "no run is called"
	if len(found) > 1 {
		what = fmt.Sprintf("%d runs are called", len(found))
	}
	return archive.Index{}, fmt.Errorf("%s %q; choose one of: %s", what, run, strings.Join(names, ", "))
}

// RunName is the readable name of a run: NAME@TIME.
func RunName(i archive.Index) string { return i.Name + "@" + i.Written.UTC().Format(time.RFC3339) }

// ManifestError says that a manifest is missing, or not the one that its run has written.
// Other archives of the run are not affected.
type ManifestError struct {
	Key string
	Err error
}

func (e *ManifestError) Error() string { return fmt.Sprintf("manifest %s: %v", e.Key, e.Err) }

// Unwrap lets errors.Is find the cause.
func (e *ManifestError) Unwrap() error { return e.Err }

func (c *Catalog) warn(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Warnings = append(c.Warnings, text)
}

// manifestsAhead is how many manifests are fetched and decoded at a time. Each is a few MiB
// in memory.
const manifestsAhead = 4

// Manifests returns the manifests of the run by prefix and number, several of which are read
// at a time. It ends with the first error that is not a *ManifestError. Manifests that do
// not add up to what the index counts end with such an error.
func (c *Catalog) Manifests(ctx context.Context) iter.Seq2[archive.Manifest, error] {
	return func(yield func(archive.Manifest, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		ahead := newReadAhead(ctx, c)
		defer ahead.wait()
		defer cancel()
		for _, p := range c.Index.Prefixes {
			var sum archive.Tally
			whole := true
			for range p.Archives {
				m, err := ahead.next(ctx)
				if !yield(m, err) || err != nil && !errors.As(err, new(*ManifestError)) {
					return
				}
				sum, whole = sum.Plus(m.Tally()), whole && err == nil
			}
			if err := c.conserved(p, sum); err != nil && whole && !yield(archive.Manifest{}, err) {
				return
			}
		}
	}
}

// conserved compares what all manifests of a prefix hold with the index. That of an earlier
// release has only the number of entries.
func (c *Catalog) conserved(p archive.IndexedPrefix, sum archive.Tally) error {
	switch {
	case p.Outcomes != nil && *p.Outcomes != sum:
		return &ManifestError{c.Index.Layout.IndexKey(), fmt.Errorf(
			"it counts %v files/bytes done, %v failed and %v skipped of prefix %q, the manifests hold %v, %v and %v",
			p.Outcomes.Done, p.Outcomes.Failed, p.Outcomes.Skipped, p.Name, sum.Done, sum.Failed, sum.Skipped)}
	case p.Outcomes == nil && p.Files != sum.Total().Files:
		return &ManifestError{c.Index.Layout.IndexKey(), fmt.Errorf(
			"it counts %d files of prefix %q, the manifests hold %d", p.Files, p.Name, sum.Total().Files)}
	default:
		return nil
	}
}

// Manifest returns the manifest of one archive, which must be the one that the index
// vouches for.
func (c *Catalog) Manifest(ctx context.Context, prefix string, number int64) (archive.Manifest, error) {
	layout := c.Index.Layout
	key := layout.ManifestKey(layout.Index(prefix), number)
	want, err := c.digest(ctx, prefix, number)
	var data []byte
	if err == nil {
		data, err = c.bucket.Get(ctx, key)
	}
	if err != nil && scopeOf(ctx, err) != ofRun {
		return archive.Manifest{}, &ManifestError{key, err}
	}
	if err != nil {
		return archive.Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	if got := archive.Digest(sha256.Sum256(data)); want != nil && got != *want {
		return archive.Manifest{}, &ManifestError{key, fmt.Errorf("its SHA-256 is %v, the index has %v: it was modified", got, *want)}
	}
	m, err := archive.DecodeManifest(data)
	if err == nil {
		err = layout.CheckManifest(m, prefix, number)
	}
	if err != nil {
		return archive.Manifest{}, &ManifestError{key, err}
	}
	return m, nil
}

// Report reads the report of the run, which the index does not vouch for.
func (c *Catalog) Report(ctx context.Context) ([]byte, error) {
	return c.bucket.Get(ctx, c.Index.Layout.ReportKey())
}

// digest returns the digest that a manifest must have; nil where an earlier release has
// kept none.
func (c *Catalog) digest(ctx context.Context, prefix string, number int64) (*archive.Digest, error) {
	at := slices.IndexFunc(c.Index.Prefixes, func(p archive.IndexedPrefix) bool { return p.Name == prefix })
	if at < 0 || c.Index.Prefixes[at].Digests == "" {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	list, known := c.digests[prefix]
	if !known {
		list = c.readDigests(ctx, c.Index.Prefixes[at])
		if list.final(ctx) {
			c.digests[prefix] = list
		}
	}
	if list.err != nil {
		return nil, list.err
	}
	if number >= int64(len(list.digests)) {
		return nil, fmt.Errorf("archive %d of prefix %q: the index has %d", number, prefix, len(list.digests))
	}
	return &list.digests[number], nil
}

// digestList are the digests of a prefix's manifests, or why there are none: a list that is missing
// or was modified is not read again for each of them.
type digestList struct {
	digests []archive.Digest
	err     error
}

// final says that another attempt would find the same.
func (l digestList) final(ctx context.Context) bool {
	_, isRequest := errors.AsType[*s3.Error](l.err)
	return l.err == nil || errors.Is(l.err, s3.ErrNotFound) || !isRequest && ctx.Err() == nil
}

func (c *Catalog) readDigests(ctx context.Context, p archive.IndexedPrefix) digestList {
	layout := c.Index.Layout
	key := layout.DigestsKey(layout.Index(p.Name))
	data, err := c.bucket.Get(ctx, key)
	if err != nil {
		return digestList{err: fmt.Errorf("read digests of manifests: %w", err)}
	}
	list, err := layout.DecodeDigests(p, data)
	if err != nil {
		return digestList{err: fmt.Errorf("digests of manifests %s: %w", key, err)}
	}
	return digestList{digests: list}
}

// Selection selects members by glob patterns, in which ** matches any number
// of directories. A pattern that matches a directory takes in all below it; no
// pattern at all takes in everything.
type Selection []string

// Takes says that the path is selected.
func (s Selection) Takes(p string) bool {
	if len(s) == 0 {
		return true
	}
	for ; p != "." && p != "/" && p != ""; p = path.Dir(p) {
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

const (
	// maxGap is how many bytes between two members are rather fetched than a second
	// request made.
	maxGap = 256 << 10
	// runSize is from how many bytes of the object on the next member begins a run of its own, so
	// that several of them are read at a time. A frame that both need is then read twice.
	runSize = 16 << 20
)

// runs divides members of a tar.
func runs(object archive.Object, members []archive.Member) []run {
	slices.SortStableFunc(members, func(a, b archive.Member) int { return cmp.Compare(a.Tar.Offset, b.Tar.Offset) })
	var list []run
	var begin, end int64
	for i, m := range members {
		if i == 0 || m.Tar.Frame.Offset > end+maxGap || end-begin >= runSize && m.Tar.Frame.Offset > begin {
			list = append(list, run{object: object})
			begin, end = m.Tar.Frame.Offset, m.Tar.Frame.Offset
		}
		last := &list[len(list)-1]
		last.members = append(last.members, m)
		end = max(end, m.Tar.Frame.Offset+m.Tar.Frame.Length)
	}
	return list
}
