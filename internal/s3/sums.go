package s3

import (
	"crypto/md5"
	"crypto/sha256"
	"hash"
)

// sums are taken of a body all at once, while a piece of it is in the processor's cache.
type sums struct {
	algorithm string
	sum       CRC
	// nil are those that nobody needs.
	sha256, md5 hash.Hash
}

// sums returns those that a request of this client needs.
func (c *Client) sums(algorithm string) *sums {
	t := &sums{algorithm: algorithm}
	if c.wire != nil && c.wire.signsBody {
		t.sha256 = sha256.New()
	}
	if c.options.Checksum == ChecksumMD5 || c.ChecksumAlgorithm() == ChecksumMD5 {
		t.md5 = md5.New()
	}
	return t
}

// take takes in what comes next.
func (t *sums) take(piece []byte) {
	t.sum = t.sum.Update(t.algorithm, piece)
	for _, h := range []hash.Hash{t.sha256, t.md5} {
		if h != nil {
			_, _ = h.Write(piece)
		}
	}
}

// all takes in what is in memory.
func (t *sums) all(content []byte) {
	for len(content) > 0 {
		n := min(len(content), pieceSize)
		t.take(content[:n])
		content = content[n:]
	}
}

// digestOf returns nil for none.
func digestOf(h hash.Hash) []byte {
	if h == nil {
		return nil
	}
	return h.Sum(nil)
}
