package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/minio/crc64nvme"
)

// DigestAlgorithm computes the digest of a member's content.
type DigestAlgorithm string

const (
	// DigestCRC64NVME finds accidental damage, at the speed of memory. It proves nothing
	// against somebody who changes data on purpose.
	DigestCRC64NVME DigestAlgorithm = "CRC64NVME"
	// DigestSHA256 finds every change, at several times the cost of everything else.
	DigestSHA256 DigestAlgorithm = "SHA256"
)

// DigestScheme says what the digest of a member covers.
type DigestScheme string

const (
	// DigestContent covers the whole content, holes read as zeros.
	DigestContent DigestScheme = ""
	// DigestDataBlocks covers the blocks of DigestBlock bytes that hold anything but zeros,
	// each behind its offset, and the size: 64-bit numbers, big-endian. It takes as long as
	// there is data, and is the same however the holes of a file are laid out.
	DigestDataBlocks DigestScheme = "DataBlocks"
)

// DigestBlock is the block of DigestDataBlocks in bytes.
const DigestBlock = 4096

// zeroBlock is what a block without data is compared with, and holes are hashed from.
var zeroBlock [64 << 10]byte //nolint:gochecknoglobals // never written; Go has no constant arrays

// ContentDigest is what a member's content is compared with; zero where there is none.
type ContentDigest struct {
	Algorithm DigestAlgorithm
	Of        DigestScheme
	// Value is hexadecimal for SHA256, base64 for CRC64NVME, as sha256sum and S3 write them.
	Value string
}

// String writes algorithm and value for people.
func (d ContentDigest) String() string { return string(d.Algorithm) + " " + d.Value }

// FileDigest is the digest of a file by an algorithm and a scheme.
type FileDigest struct {
	algorithm DigestAlgorithm
	scheme    DigestScheme
	sum       hash.Hash
	// size is how much of the file was taken in.
	size int64
	// block holds the bytes since the last multiple of DigestBlock.
	block []byte
}

// NewFileDigest returns the digest of a file that is to be compared with another. It returns
// an error for an algorithm or a scheme that this program does not know.
func NewFileDigest(like ContentDigest) (*FileDigest, error) {
	if like.Algorithm != DigestCRC64NVME && like.Algorithm != DigestSHA256 {
		return nil, fmt.Errorf("digest algorithm %q is unknown: use the program that wrote the manifest, or a later one", like.Algorithm)
	}
	if like.Of != DigestContent && like.Of != DigestDataBlocks {
		return nil, fmt.Errorf("digest scheme %q is unknown: use the program that wrote the manifest, or a later one", like.Of)
	}
	return newFileDigest(like.Algorithm, like.Of), nil
}

func newFileDigest(a DigestAlgorithm, s DigestScheme) *FileDigest {
	d := &FileDigest{algorithm: a, scheme: s}
	if a == DigestSHA256 {
		d.sum = sha256.New()
	} else {
		d.sum = crc64nvme.New()
	}
	if s == DigestDataBlocks {
		d.block = make([]byte, 0, DigestBlock)
	}
	return d
}

// Write takes in what comes next of the file. It never fails.
func (d *FileDigest) Write(p []byte) (int, error) {
	written := len(p)
	if d.scheme == DigestContent {
		d.size += int64(written)
		return d.sum.Write(p)
	}
	for len(p) > 0 {
		if len(d.block) == 0 && len(p) >= DigestBlock {
			d.put(p[:DigestBlock])
			p = p[DigestBlock:]
			continue
		}
		n := min(DigestBlock-len(d.block), len(p))
		d.block = append(d.block, p[:n]...)
		p = p[n:]
		if len(d.block) == DigestBlock {
			d.put(d.block)
			d.block = d.block[:0]
		}
	}
	return written, nil
}

// put takes in a block, the last of which may be short.
func (d *FileDigest) put(block []byte) {
	if !bytes.Equal(block, zeroBlock[:len(block)]) {
		_, _ = d.sum.Write(binary.BigEndian.AppendUint64(nil, uint64(d.size)))
		_, _ = d.sum.Write(block)
	}
	d.size += int64(len(block))
}

// Hole takes in n zeros. With DigestContent that takes as long as they are many; the
// error is ctx's.
func (d *FileDigest) Hole(ctx context.Context, n int64) error {
	if d.scheme == DigestDataBlocks {
		if begun := int64(len(d.block)); begun > 0 || n < DigestBlock {
			rest := min(n, DigestBlock-begun)
			_, _ = d.Write(zeroBlock[:rest])
			n -= rest
		}
		whole := n / DigestBlock * DigestBlock
		d.size += whole
		_, _ = d.Write(zeroBlock[:n-whole])
		return ctx.Err()
	}
	for ; n > 0 && ctx.Err() == nil; n -= min(n, int64(len(zeroBlock))) {
		_, _ = d.Write(zeroBlock[:min(n, int64(len(zeroBlock)))])
	}
	return ctx.Err()
}

// Size is how much of the file was taken in, in bytes.
func (d *FileDigest) Size() int64 { return d.size + int64(len(d.block)) }

// Sum returns the digest, once all of the file is in.
func (d *FileDigest) Sum() ContentDigest {
	if d.scheme == DigestDataBlocks {
		if len(d.block) > 0 {
			d.put(d.block)
			d.block = d.block[:0]
		}
		_, _ = d.sum.Write(binary.BigEndian.AppendUint64(nil, uint64(d.size)))
	}
	done := ContentDigest{Algorithm: d.algorithm, Of: d.scheme}
	if sum := d.sum.Sum(nil); d.algorithm == DigestSHA256 {
		done.Value = hex.EncodeToString(sum)
	} else {
		done.Value = base64.StdEncoding.EncodeToString(sum)
	}
	return done
}

// DigestFile returns the digest of an open file, taken as another one was. It passes over holes.
func DigestFile(ctx context.Context, f *os.File, like ContentDigest) (ContentDigest, error) {
	digest, err := NewFileDigest(like)
	if err != nil {
		return ContentDigest{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return ContentDigest{}, err
	}
	extents, _, err := dataExtents(ctx, f, info)
	if err != nil {
		return ContentDigest{}, err
	}
	for _, x := range extents {
		if err := digest.Hole(ctx, x.Offset-digest.Size()); err != nil {
			return ContentDigest{}, err
		}
		for at := x.Offset; at < x.end(); at = digest.Size() {
			piece := io.NewSectionReader(f, at, min(x.end()-at, int64(len(zeroBlock))))
			if n, err := io.Copy(digest, piece); err != nil || n == 0 {
				return ContentDigest{}, errors.Join(io.ErrUnexpectedEOF, err)
			}
			if ctx.Err() != nil {
				return ContentDigest{}, ctx.Err()
			}
		}
	}
	if err := digest.Hole(ctx, info.Size()-digest.Size()); err != nil {
		return ContentDigest{}, err
	}
	return digest.Sum(), nil
}
