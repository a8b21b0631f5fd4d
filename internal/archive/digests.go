package archive

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Digest is the SHA-256 of a manifest as it is in the bucket.
type Digest [sha256.Size]byte

// String writes the digest as sha256sum does.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// DigestsKey is where the digests of a prefix's manifests are listed, in the form that
// sha256sum --check reads below BookkeepingPrefix.
func (l Layout) DigestsKey(prefixIndex int) string {
	return fmt.Sprintf("%sdigests/%02d.sha256", l.BookkeepingPrefix(), prefixIndex)
}

// listedAs is the name of a manifest in the list of digests.
func (l Layout) listedAs(prefixIndex int, number int64) string {
	return strings.TrimPrefix(l.ManifestKey(prefixIndex, number), l.BookkeepingPrefix())
}

// encodeDigests lists the digests of a prefix's manifests, by number.
func (l Layout) encodeDigests(prefixIndex int, digests []Digest) []byte {
	var out bytes.Buffer
	for number, d := range digests {
		_, _ = fmt.Fprintf(&out, "%s  %s\n", d, l.listedAs(prefixIndex, int64(number)))
	}
	return out.Bytes()
}

// DecodeDigests reads the list of a prefix's digests. It must be the one that the index
// has the digest of, and cover all its archives.
func (l Layout) DecodeDigests(p IndexedPrefix, data []byte) ([]Digest, error) {
	if got := Digest(sha256.Sum256(data)).String(); got != p.Digests {
		return nil, fmt.Errorf("its SHA-256 is %s, the index has %s", got, p.Digests)
	}
	index := l.Index(p.Name)
	var list []Digest
	for line := range strings.Lines(string(data)) {
		sum, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		raw, err := hex.DecodeString(sum)
		if err != nil || len(raw) != sha256.Size || name != l.listedAs(index, int64(len(list))) {
			return nil, fmt.Errorf("line %d is not the digest of manifest %d", len(list)+1, len(list))
		}
		list = append(list, Digest(raw))
	}
	if int64(len(list)) != p.Archives {
		return nil, fmt.Errorf("it lists %d manifests, the index %d", len(list), p.Archives)
	}
	return list, nil
}

// listsAtOnce is how many lists of digests are written at a time.
const listsAtOnce = 16

// FinishedPrefix is a prefix all of whose archives have a manifest.
type FinishedPrefix struct {
	Name     string
	Planned  Count
	Outcomes Tally
	// Digests are those of its manifests, by number.
	Digests []Digest
}

// CommitHooks are called while a run is committed; any may be nil but Without.
type CommitHooks struct {
	// Without is called with the reason if the run goes without a path index.
	Without func(error)
	// Each is called with every member by path, never concurrently, while the path index is
	// written, which reads all manifests. Without a path index it may have missed some.
	Each func(PathMember)
	// Beside is called with the whole index while that is written, which does not wait for it, but
	// Commit does. Its context ends if the index can't be written.
	Beside func(context.Context, Index)
}

// Commit writes the path index and the lists of digests, and then the index, which commits the run.
// A run that has lists of digests is not resumed, so these come after what takes long, beside the
// last objects of the path index. A run whose path index cannot be written goes without one.
func (i Index) Commit(ctx context.Context, s Store, prefixes []FinishedPrefix, h CommitHooks) error {
	all := map[string][]Digest{}
	for _, p := range prefixes {
		all[p.Name] = p.Digests
	}
	var lists errgroup.Group
	write := sync.OnceFunc(func() {
		lists.Go(func() error { return i.AddPrefixes(ctx, s, prefixes...) })
	})
	err := i.addPaths(ctx, s, all, pathSizes{pathBlock, pathObject}, mergeHooks{h.Each, write})
	if err != nil && ctx.Err() == nil {
		h.Without(err)
		write()
	}
	if failed := lists.Wait(); ctx.Err() != nil || failed != nil {
		return cmp.Or(failed, err, ctx.Err())
	}
	aside, cancel := context.WithCancel(ctx)
	defer cancel()
	var beside sync.WaitGroup
	if h.Beside != nil {
		beside.Go(func() { h.Beside(aside, i) })
	}
	if err = i.Write(ctx, s); err != nil {
		cancel()
	}
	beside.Wait()
	return err
}

// AddPrefixes adds prefixes to the index, and writes the lists of their digests.
func (i *Index) AddPrefixes(ctx context.Context, s Store, prefixes ...FinishedPrefix) error {
	group, writing := errgroup.WithContext(ctx)
	group.SetLimit(listsAtOnce)
	for _, p := range prefixes {
		index, archives := i.Layout.Index(p.Name), int64(len(p.Digests))
		list := i.Layout.encodeDigests(index, p.Digests)
		i.Prefixes = append(i.Prefixes, IndexedPrefix{
			Name: p.Name, ManifestPrefix: i.Layout.ManifestPrefix(index), Digests: Digest(sha256.Sum256(list)).String(),
			Archives: archives, Manifests: archives, Files: p.Planned.Files, Bytes: p.Planned.Bytes, Outcomes: &p.Outcomes,
		})
		group.Go(func() error {
			if err := s.Put(writing, i.Layout.DigestsKey(index), list); err != nil {
				return fmt.Errorf("write digests: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// Write puts the index into the bucket, which commits the run.
func (i Index) Write(ctx context.Context, s Store) error {
	body, err := i.Encode()
	if err != nil {
		return err
	}
	if err := s.Put(ctx, i.Layout.IndexKey(), body); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

// maxIndexedArchives is how many archives of a prefix an index may claim: as many as a transfer can
// plan. Each costs its reader a request.
const maxIndexedArchives = 100_000_000

// Check returns an error unless the index is one of the run with the UID below the base.
func (i Index) Check(base, uid string) error {
	l := i.Layout
	if err := l.Validate(); err != nil {
		return err
	}
	if l.Base != base || l.UID != uid || !l.Resolved() {
		return fmt.Errorf("it is the index of run %s below %q", l.UID, l.Base)
	}
	seen := map[string]bool{}
	for _, p := range i.Prefixes {
		at := l.Index(p.Name)
		if at < 0 || seen[p.Name] || p.ManifestPrefix != l.ManifestPrefix(at) || p.Archives < 0 || p.Files < 0 || p.Bytes < 0 {
			return fmt.Errorf("its prefix %q is not in its layout", p.Name)
		}
		if p.Archives > min(p.Files, maxIndexedArchives) {
			return fmt.Errorf("it has %d archives of prefix %q with %d entries; every archive has one, and a run at most %d archives", p.Archives, p.Name, p.Files, maxIndexedArchives)
		}
		if p.Outcomes != nil && p.Outcomes.Total() != (Count{p.Files, p.Bytes}) {
			return errors.New("its outcomes do not add up to what was planned")
		}
		seen[p.Name] = true
	}
	return i.Paths.check()
}
