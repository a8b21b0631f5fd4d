package archive

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// FrameSize is the most bytes of a tar that one zstd frame holds.
const FrameSize = 512 << 10

const (
	// A frame of at least leastProbed bytes is compressed only if samples of it, of
	// sampleSize bytes each, become smaller than worthwhile of 1,000.
	leastProbed = 256 << 10
	samples     = 4
	sampleSize  = 16 << 10
	worthwhile  = 970

	// maxBlock is the most bytes that a block of a zstd frame holds (RFC 8878, 3.1.1.2.4).
	maxBlock = 128 << 10
)

// mostAtOnce is how many frames are compressed at once, since each takes tables of some MiB.
const mostAtOnce = 4

// Compressor makes the zstd frames of any number of packers. It is safe for concurrent use.
type Compressor struct {
	encoder, probe *zstd.Encoder
	buffers        sync.Pool
}

// frameBuffer holds what a frame is made of.
type frameBuffer struct {
	raw            [FrameSize]byte
	sample, probed []byte
}

// NewCompressor returns a compressor of the level asked for; nil if the tar is to be plain.
func NewCompressor(t Tar) (*Compressor, error) {
	if t.Compression != Zstd {
		return nil, nil
	}
	c := &Compressor{buffers: sync.Pool{New: func() any { return new(frameBuffer) }}}
	var err error
	if c.encoder, err = newEncoder(zstd.EncoderLevelFromZstd(t.Level), FrameSize); err != nil {
		return nil, err
	}
	c.probe, err = newEncoder(zstd.SpeedFastest, samples*sampleSize)
	return c, err
}

func newEncoder(level zstd.EncoderLevel, window int) (*zstd.Encoder, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(min(runtime.GOMAXPROCS(0), mostAtOnce)),
		zstd.WithEncoderLevel(level), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("start zstd encoder: %w", err)
	}
	return e, nil
}

// most is the most bytes that a frame takes.
func (c *Compressor) most() int { return c.encoder.MaxEncodedSize(FrameSize) }

func (c *Compressor) get() *frameBuffer { return c.buffers.Get().(*frameBuffer) }

// append appends the frame that holds the first length bytes of a buffer. The same bytes
// give the same frame. What does not compress is stored as it is, which costs nothing.
func (c *Compressor) append(out []byte, b *frameBuffer, length int64) []byte {
	raw := b.raw[:length]
	if length >= leastProbed && !c.compresses(b, raw) {
		return appendStored(out, raw)
	}
	return c.encoder.EncodeAll(raw, out)
}

// compresses says by samples whether it is worth it.
func (c *Compressor) compresses(b *frameBuffer, raw []byte) bool {
	b.sample = b.sample[:0]
	for i := range samples {
		at := i * (len(raw) - sampleSize) / (samples - 1)
		b.sample = append(b.sample, raw[at:at+sampleSize]...)
	}
	b.probed = c.probe.EncodeAll(b.sample, b.probed[:0])
	return len(b.probed)*1000 < len(b.sample)*worthwhile
}

// appendStored appends a zstd frame of stored blocks, with content size and checksum
// (RFC 8878, 3.1.1).
func appendStored(out, raw []byte) []byte {
	const (
		magic = 0xFD2FB528
		// Content size of four bytes, single segment, checksum.
		descriptor = 2<<6 | 1<<5 | 1<<2
	)
	out = binary.LittleEndian.AppendUint32(out, magic)
	out = append(out, descriptor)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(raw)))
	for rest := raw; len(rest) > 0; {
		n := min(len(rest), maxBlock)
		header := uint32(n) << 3
		if n == len(rest) {
			header |= 1
		}
		out = append(out, byte(header), byte(header>>8), byte(header>>16))
		out, rest = append(out, rest[:n]...), rest[n:]
	}
	return binary.LittleEndian.AppendUint32(out, uint32(xxhash.Sum64(raw)))
}
