package restore

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
)

// VerifyOptions says what to verify.
type VerifyOptions struct {
	Catalog *Catalog
	// ReadBack reads every byte again instead of asking for what the server keeps.
	ReadBack bool
	// Progress, if not nil, is called after every archive, never concurrently.
	Progress func(Verification)
}

// Verification is the outcome of Verify.
type Verification struct {
	// Objects counts the objects looked at, Files the members that they hold, Bytes
	// the sizes of these.
	Objects int64 `json:"objects"`
	Files   int64 `json:"files"`
	Bytes   int64 `json:"bytes"`
	// Wrong counts objects or members that do not match the manifests, Missing
	// what was never archived.
	Wrong   int64 `json:"wrong"`
	Missing int64 `json:"missing"`
	// ByETag counts objects without a checksum on the server, of which only size and ETag
	// were compared.
	ByETag int64 `json:"byETag"`

	// Failures names what is wrong, at least the first 1,000.
	Failures []Failure `json:"-"`
}

// Verify compares objects with the manifests.
func Verify(ctx context.Context, o VerifyOptions) (Verification, error) {
	v := &verifier{options: o, slots: make(slots, requestsAtOnce), manifests: newFingerprint()}
	whole := true
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(4 * parallel)
	if o.ReadBack {
		group.SetLimit(parallel)
	}
	for m, err := range o.Catalog.Manifests(working) {
		if damaged, ok := errors.AsType[*ManifestError](err); ok {
			v.count(func(n *Verification) { n.fail(damaged.Key, damaged.Err) })
			whole = false
			continue
		}
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		if o.Catalog.Index.Paths != nil {
			for _, f := range m.Members {
				v.manifests.add(archive.PathMember{Prefix: m.Prefix, Number: m.Number, Object: m.Object, Member: f})
			}
		}
		group.Go(func() error { return v.archive(working, m) })
	}
	if err := group.Wait(); err != nil {
		return v.found, err
	}
	return v.found, v.paths(ctx, whole)
}

type verifier struct {
	options VerifyOptions
	slots   slots
	// manifests is of all members that manifests hold.
	manifests fingerprint
	mu        sync.Mutex
	found     Verification
}

// paths verifies the path index: all its blocks, and that it has the members that the manifests
// do, if these are whole.
func (v *verifier) paths(ctx context.Context, whole bool) error {
	c := v.options.Catalog
	if c.Index.Paths == nil {
		return nil
	}
	found := newFingerprint()
	found.seed = v.manifests.seed
	for m, err := range c.pathReader().From(ctx, "", func(string) bool { return false }) {
		if damaged, ok := errors.AsType[*archive.PathIndexError](err); ok {
			v.count(func(n *Verification) { n.fail(damaged.Key, damaged.Err) })
			return nil
		}
		if err != nil {
			return err
		}
		found.add(m)
	}
	if whole && found != v.manifests {
		v.count(func(n *Verification) {
			n.fail(c.Index.Layout.IndexKey(), fmt.Errorf("the %d members of its path index are not the %d of its manifests", found.members, v.manifests.members))
		})
	}
	return nil
}

// archive verifies one archive. Its error is ctx's.
func (v *verifier) archive(ctx context.Context, m archive.Manifest) error {
	var packed []archive.Member
	for _, f := range m.Members {
		switch {
		case f.Outcome != archive.Done:
			v.count(func(n *Verification) { n.Missing++ })
		case f.Tar != nil:
			packed = append(packed, f)
		default:
			v.object(ctx, f.Path, archive.Object{
				Key: f.Key, Size: f.Size, ETag: f.ETag, Checksum: f.Checksum, ChecksumAlgorithm: f.ChecksumAlgorithm,
			}, []archive.Member{f})
		}
	}
	if m.Object != nil {
		v.object(ctx, m.Object.Key, *m.Object, packed)
	}
	return ctx.Err()
}

// object verifies an object and the members that it holds.
func (v *verifier) object(ctx context.Context, name string, o archive.Object, members []archive.Member) {
	var bytes int64
	for _, m := range members {
		bytes += m.Size
	}
	var err error
	switch {
	case !v.options.ReadBack || len(members) == 0:
		var byETag bool
		if byETag, err = stat(ctx, v.options.Catalog.bucket, o); byETag {
			v.count(func(n *Verification) { n.ByETag++ })
		}
	case members[0].Tar == nil:
		err = twice(func() error { return fetchObject(ctx, v.options.Catalog.bucket, v.slots, members[0], discard{}) })
	default:
		err = v.readBack(ctx, o, members)
	}
	if ctx.Err() != nil {
		return
	}
	v.count(func(n *Verification) {
		n.Objects++
		n.Files += int64(len(members))
		n.Bytes += bytes
		if err != nil {
			n.fail(name, err)
		}
	})
}

// different says what of an object is not as the manifest has it.
type different struct{ error }

// stat asks for size and checksum, which the server has verified on arrival and keeps with
// the object. Where it keeps none, the ETag reveals an object that was replaced, but not one
// that the server has damaged.
func stat(ctx context.Context, b Bucket, o archive.Object) (byETag bool, err error) {
	info, err := b.Stat(ctx, o.Key)
	if err != nil {
		return false, err
	}
	if info.Size != o.Size {
		return false, different{fmt.Errorf("it has %d bytes, the manifest has %d", info.Size, o.Size)}
	}
	got := info.Checksums[o.ChecksumAlgorithm]
	if got == "" && o.ETag != "" {
		if info.ETag != o.ETag {
			return false, different{fmt.Errorf("its ETag is %q, the manifest has %q: replaced", info.ETag, o.ETag)}
		}
		return true, nil
	}
	if got != o.Checksum {
		return false, different{fmt.Errorf("its %s is %q, the manifest has %q: replaced or damaged", o.ChecksumAlgorithm, got, o.Checksum)}
	}
	return false, nil
}

// readBack reads a tar and compares every member. One that differs is wrong when it
// does so twice.
func (v *verifier) readBack(ctx context.Context, o archive.Object, members []archive.Member) error {
	for _, r := range runs(o, members) {
		doubted := ""
		err := fetch(ctx, v.options.Catalog.bucket, r, func(m archive.Member, h *tar.Header, c content) error {
			err := compare(ctx, m, h, c)
			if err == nil || errors.As(err, new(readError)) {
				return err
			}
			if doubted != m.Path {
				doubted = m.Path
				return err
			}
			v.count(func(n *Verification) { n.fail(m.Path, err) })
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// compare compares a member with what the manifest says of it.
func compare(ctx context.Context, m archive.Member, h *tar.Header, c content) error {
	if h.ModTime.Compare(m.ModTime) != 0 || h.Uid != m.UID || h.Gid != m.GID {
		return errors.New("time or owner do not match the manifest")
	}
	if err := sameXattrs(m, h); err != nil {
		return err
	}
	if (m.Kind == archive.Symlink || m.Kind == archive.HardLink) && h.Linkname != m.Link {
		return fmt.Errorf("it leads to %q, the manifest has %q", h.Linkname, m.Link)
	}
	if m.Kind != archive.File {
		return nil
	}
	digest, err := archive.NewFileDigest(m.Tar.Digest)
	if err == nil {
		err = c.copyTo(ctx, digest)
	}
	if err != nil {
		return err
	}
	if n, got := digest.Size(), digest.Sum(); n != m.Size || got != m.Tar.Digest {
		return fmt.Errorf("it has %d bytes with digest %v, the manifest has %d with %v", n, got, m.Size, m.Tar.Digest)
	}
	return nil
}

func (v *verifier) count(add func(*Verification)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	add(&v.found)
	if v.options.Progress != nil {
		v.options.Progress(v.found)
	}
}

func (n *Verification) fail(name string, err error) {
	n.Wrong++
	if len(n.Failures) < maxFailures {
		n.Failures = append(n.Failures, Failure{name, err.Error()})
	}
}
