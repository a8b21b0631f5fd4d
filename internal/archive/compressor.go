package archive

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
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
	// What a frame of stored blocks has around its content: a head, a head of each block, and
	// the checksum.
	storedHead, blockHead, storedSum = 9, 3, 4
	storedSize                       = storedHead + FrameSize/maxBlock*(blockHead+maxBlock) + storedSum
)

// mostAtOnce is how many frames are compressed at once, since each takes tables of some MiB.
const mostAtOnce = 4

// Compressor makes the zstd frames of any number of packers. It is safe for concurrent use.
type Compressor struct {
	encoder, probe *zstd.Encoder
	buffers        sync.Pool
}

// frameBuffer holds what a frame is made of, in one piece or where it is in a stored frame.
type frameBuffer struct {
	raw            [FrameSize]byte
	sample, probed []byte
	// place is where the frame will be, with the content in its blocks; nil for content in raw.
	place []byte
	// stored: the last frame that was probed did not compress; the next may not either.
	stored bool
}

// begin chooses where the content of the next frame goes, which is to be appended to out.
func (b *frameBuffer) begin(out []byte) {
	b.place = nil
	if b.stored && cap(out)-len(out) >= storedSize {
		b.place = out[len(out) : len(out)+storedSize]
	}
}

// rest is the room for the content from an offset on, as far as it is in one piece.
func (b *frameBuffer) rest(at int64) []byte {
	if b.place == nil {
		return b.raw[at:]
	}
	block, within := at/maxBlock, at%maxBlock
	start := storedHead + block*(blockHead+maxBlock) + blockHead
	return b.place[start+within : start+maxBlock]
}

// read copies the content from an offset on.
func (b *frameBuffer) read(to []byte, at int64) {
	for len(to) > 0 {
		n := copy(to, b.rest(at))
		to, at = to[n:], at+int64(n)
	}
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

func (c *Compressor) put(b *frameBuffer) {
	b.place = nil
	c.buffers.Put(b)
}

// append appends the frame that holds the first length bytes of a buffer. The same bytes
// give the same frame. What does not compress is stored as it is, which costs nothing.
func (c *Compressor) append(out []byte, b *frameBuffer, length int64) []byte {
	if length >= leastProbed {
		if b.stored = !c.compresses(b, length); b.stored {
			return b.appendStored(out, length)
		}
	}
	if b.place != nil {
		b.read(b.raw[:length], 0)
	}
	return c.encoder.EncodeAll(b.raw[:length], out)
}

// compresses says by samples whether it is worth it.
func (c *Compressor) compresses(b *frameBuffer, length int64) bool {
	b.sample = slices.Grow(b.sample[:0], samples*sampleSize)[:samples*sampleSize]
	for i := range int64(samples) {
		b.read(b.sample[i*sampleSize:][:sampleSize], i*(length-sampleSize)/(samples-1))
	}
	b.probed = c.probe.EncodeAll(b.sample, b.probed[:0])
	return len(b.probed)*1000 < len(b.sample)*worthwhile
}

// appendStored appends a zstd frame of stored blocks, with content size and checksum
// (RFC 8878, 3.1.1). Content that is in place already stays there.
func (b *frameBuffer) appendStored(out []byte, length int64) []byte {
	const (
		magic = 0xFD2FB528
		// Content size of four bytes, single segment, checksum.
		descriptor = 2<<6 | 1<<5 | 1<<2
	)
	out = binary.LittleEndian.AppendUint32(out, magic)
	out = append(out, descriptor)
	out = binary.LittleEndian.AppendUint32(out, uint32(length))
	sum := xxhash.New()
	for at := int64(0); at < length; {
		n := min(length-at, maxBlock)
		header := uint32(n) << 3
		if at+n == length {
			header |= 1
		}
		out = append(out, byte(header), byte(header>>8), byte(header>>16))
		block := b.rest(at)[:n]
		_, _ = sum.Write(block)
		if b.place != nil {
			out = out[:len(out)+len(block)]
		} else {
			out = append(out, block...)
		}
		at += n
	}
	return binary.LittleEndian.AppendUint32(out, uint32(sum.Sum64()))
}
