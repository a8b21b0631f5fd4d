package s3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// proven returns nil if the answer proves that the server has the body: it confirms the
// checksum, or its ETag is the body's MD5. A server that is silent about a checksum has
// ignored it and verified nothing; but a digest of what it has that equals one of what was
// sent is proof, whoever asked for it. From then on the MD5 is sent as well.
func (c *Client) proven(ctx context.Context, key, algorithm string, b *Body, got stored) error {
	sum := b.sum.Encode(algorithm)
	switch {
	case got.checksum == sum:
		return nil
	case got.checksum != "":
		return mismatch(key, sum, got.checksum)
	case c.options.Checksum != "" && c.options.Checksum != ChecksumMD5:
		return unproven(key, "the server does not confirm the checksum "+algorithm)
	}
	want, err := b.etag(ctx)
	if err != nil {
		return SourceError("read", key, err)
	}
	etag := strings.Trim(got.etag, `"`)
	switch {
	case strings.EqualFold(etag, want):
		c.confirm(ChecksumMD5)
		return nil
	case algorithm == ChecksumMD5 && c.ChecksumAlgorithm() == ChecksumMD5:
		return mismatch(key, "MD5 "+want, "ETag "+etag)
	default:
		return unproven(key, "the server confirms neither a checksum nor, by its ETag, the MD5")
	}
}

// etag is what a server says of a body that it keeps as it came: its MD5.
func (b *Body) etag(ctx context.Context) (string, error) {
	digest, err := b.MD5(ctx)
	return hex.EncodeToString(digest), err
}

// partsETag is the ETag of an object made of parts with these, "" if they are not MD5s.
func partsETag(parts []Part) string {
	var digests [][]byte
	for _, p := range parts {
		digest, err := hex.DecodeString(strings.Trim(p.ETag, `"`))
		if err != nil || len(digest) != md5.Size {
			return ""
		}
		digests = append(digests, digest)
	}
	return CompositeETag(digests)
}

// CompositeETag is the ETag of an object made of parts with these MD5s.
func CompositeETag(digests [][]byte) string {
	whole := md5.New()
	for _, d := range digests {
		_, _ = whole.Write(d)
	}
	return fmt.Sprintf("%s-%d", hex.EncodeToString(whole.Sum(nil)), len(digests))
}

func unproven(key, why string) *Error {
	return &Error{
		Class: Configuration, Reason: ReasonChecksumUnsupported, Op: "store", Key: key, Err: errors.New(why),
		advice: "use a server that verifies CRC64NVME or CRC32C, or whose ETags are MD5s",
	}
}

func mismatch(key, sent, got string) *Error {
	return &Error{
		Class: Integrity, Reason: ReasonChecksumMismatch, Op: "store", Key: key,
		Err: errors.New("sent checksum " + sent + ", the server has " + got),
	}
}

// ChecksumName is the algorithm of the checksums that go with a proof: beside the MD5,
// which no one can put together from those of parts, it is CRC64NVME.
func ChecksumName(algorithm string) string {
	if algorithm == ChecksumMD5 {
		return ChecksumCRC64NVME
	}
	return algorithm
}

func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
