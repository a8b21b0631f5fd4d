package restore

import (
	"hash/maphash"

	"cargoship.dev/operator/internal/archive"
)

// fingerprint tells whether two sets of members, in any order, are the same: it sums hashes by a seed
// that nobody knows who could forge members.
type fingerprint struct {
	seed    maphash.Seed
	members int64
	sum     uint64
}

func newFingerprint() fingerprint { return fingerprint{seed: maphash.MakeSeed()} }

// comparedMember is what of a member is compared: all that restore and ls make use of.
type comparedMember struct {
	prefix       string
	number       int64
	object       archive.Object
	path, key    string
	kind         archive.Kind
	link         string
	uid, gid     int
	size         int64
	mode         uint32
	sec, nsec    int64
	sum, sumBy   string
	etag         string
	outcome      archive.Outcome
	inTar        bool
	offset, data int64
	length       int64
	frame        archive.Range
	digest       archive.ContentDigest
	sparse       bool
}

func (f *fingerprint) add(m archive.PathMember) {
	c := comparedMember{
		prefix: m.Prefix, number: m.Number, path: m.Path, key: m.Key, kind: m.Kind, link: m.Link, uid: m.UID, gid: m.GID,
		size: m.Size, mode: uint32(m.Mode), sec: m.ModTime.Unix(), nsec: int64(m.ModTime.Nanosecond()),
		sum: m.Checksum, sumBy: m.ChecksumAlgorithm, etag: m.ETag, outcome: m.Outcome,
	}
	if m.Object != nil {
		c.object = *m.Object
	}
	if p := m.Tar; p != nil {
		c.inTar, c.offset, c.data, c.length = true, p.Offset, p.Data, p.Length
		c.frame, c.digest, c.sparse = p.Frame, p.Digest, p.Sparse
	}
	f.members++
	f.sum += maphash.Comparable(f.seed, c)
	for i, x := range m.Xattrs {
		f.sum += maphash.Comparable(f.seed, comparedXattr{c, i, x.Name, string(x.Value)})
	}
}

// comparedXattr is an extended attribute of a member, by its place.
type comparedXattr struct {
	of          comparedMember
	place       int
	name, value string
}
