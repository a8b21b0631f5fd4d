package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// DigestScheme says what the SHA-256 of a member covers.
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

// FileDigest is the SHA-256 of a file by a scheme.
type FileDigest struct {
	scheme DigestScheme
	sum    hash.Hash
	// size is how much of the file was taken in.
	size int64
	// block holds the bytes since the last multiple of DigestBlock.
	block []byte
}

// NewFileDigest returns an error for a scheme that this program does not know.
func NewFileDigest(s DigestScheme) (*FileDigest, error) {
	if s != DigestContent && s != DigestDataBlocks {
		return nil, fmt.Errorf("digest scheme %q is unknown: use the program that wrote the manifest, or a later one", s)
	}
	return newFileDigest(s), nil
}

func newFileDigest(s DigestScheme) *FileDigest {
	d := &FileDigest{scheme: s, sum: sha256.New()}
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

// Sum returns the digest in hexadecimal, once all of the file is in.
func (d *FileDigest) Sum() string {
	if d.scheme == DigestDataBlocks {
		if len(d.block) > 0 {
			d.put(d.block)
			d.block = d.block[:0]
		}
		_, _ = d.sum.Write(binary.BigEndian.AppendUint64(nil, uint64(d.size)))
	}
	return hex.EncodeToString(d.sum.Sum(nil))
}

// DigestFile returns the digest of an open file, in hexadecimal. It passes over holes.
func DigestFile(ctx context.Context, f *os.File, size int64, scheme DigestScheme) (string, error) {
	digest, err := NewFileDigest(scheme)
	if err != nil {
		return "", err
	}
	extents, _, err := dataExtents(ctx, f, size)
	if err != nil {
		return "", err
	}
	for _, x := range extents {
		if err := digest.Hole(ctx, x.Offset-digest.Size()); err != nil {
			return "", err
		}
		for at := x.Offset; at < x.end(); at = digest.Size() {
			piece := io.NewSectionReader(f, at, min(x.end()-at, int64(len(zeroBlock))))
			if n, err := io.Copy(digest, piece); err != nil || n == 0 {
				return "", errors.Join(io.ErrUnexpectedEOF, err)
			}
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
		}
	}
	if err := digest.Hole(ctx, size-digest.Size()); err != nil {
		return "", err
	}
	return digest.Sum(), nil
}
