package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
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

// Add adds a prefix, each of whose archives has a manifest with the digest given, and
// writes the list of these.
func (i *Index) Add(ctx context.Context, s Store, prefix string, planned Count, outcomes Tally, digests []Digest) error {
	index := i.Layout.Index(prefix)
	list := i.Layout.encodeDigests(index, digests)
	if err := s.Put(ctx, i.Layout.DigestsKey(index), list); err != nil {
		return fmt.Errorf("write digests: %w", err)
	}
	archives := int64(len(digests))
	i.Prefixes = append(i.Prefixes, IndexedPrefix{
		Name: prefix, ManifestPrefix: i.Layout.ManifestPrefix(index), Digests: Digest(sha256.Sum256(list)).String(),
		Archives: archives, Manifests: archives, Files: planned.Files, Bytes: planned.Bytes, Outcomes: &outcomes,
	})
	return nil
}

// FinishedPrefix is a prefix all of whose archives have a manifest.
type FinishedPrefix struct {
	Name     string
	Planned  Count
	Outcomes Tally
	// Digests are those of its manifests, by number.
	Digests []Digest
}

// Commit writes the path index, the lists of digests and then the index, which commits the run.
// A run that has lists of digests is not resumed, so these come after what takes long. A run whose
// path index cannot be written does without, and without is told why.
func (i Index) Commit(ctx context.Context, s Store, prefixes []FinishedPrefix, without func(error)) error {
	all := map[string][]Digest{}
	for _, p := range prefixes {
		all[p.Name] = p.Digests
	}
	if err := i.AddPaths(ctx, s, all); err != nil {
		if ctx.Err() != nil {
			return err
		}
		without(err)
	}
	for _, p := range prefixes {
		if err := i.Add(ctx, s, p.Name, p.Planned, p.Outcomes, p.Digests); err != nil {
			return err
		}
	}
	return i.Write(ctx, s)
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
		if p.Outcomes != nil && p.Outcomes.Total() != (Count{p.Files, p.Bytes}) {
			return errors.New("its outcomes do not add up to what was planned")
		}
		seen[p.Name] = true
	}
	return i.Paths.check()
}
