package archive

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// random returns bytes that do not compress.
func random(n int) []byte {
	content := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(content)
	return content
}

func TestWhatDoesNotCompressIsStored(t *testing.T) {
	c, err := NewCompressor(*tarLayout(Zstd).Tar)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("neither short nor long, and much the same as the line before\n"), FrameSize)
	for name, tc := range map[string]struct {
		content []byte
		stored  bool
	}{
		"random":         {random(FrameSize), true},
		"random, odd":    {random(FrameSize - 4321), true},
		"random, little": {random(leastProbed), true},
		"text":           {text[:FrameSize], false},
		"half of each":   {slices.Concat(text[:FrameSize/2], random(FrameSize/2)), false},
		"nothing":        {nil, false},
	} {
		b := c.get()
		length := copy(b.raw[:], tc.content)
		frame := c.append([]byte("before"), b, int64(length))[len("before"):]
		if again := c.append(nil, b, int64(length)); !bytes.Equal(frame, again) {
			t.Errorf("%s: the same bytes give two frames", name)
		}
		if stored := bytes.Equal(frame, b.appendStored(nil, int64(length))); stored != tc.stored {
			t.Errorf("%s: stored %v, want %v", name, stored, tc.stored)
		}
		if inPlace := frameInPlace(c, b, tc.content); !bytes.Equal(frame, inPlace) {
			t.Errorf("%s: of content that is in place already the same bytes give another frame", name)
		}
		if len(frame) > c.most() {
			t.Errorf("%s: a frame of %d bytes, at most %d are expected", name, len(frame), c.most())
		}
		if err := sameFrame(frame, tc.content); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// frameInPlace returns the frame of content that was read to where it is if it is stored.
func frameInPlace(c *Compressor, b *frameBuffer, content []byte) []byte {
	out := make([]byte, len("before"), len("before")+c.most())
	b.stored = true
	b.begin(out)
	for at := 0; at < len(content); {
		at += copy(b.rest(int64(at)), content[at:])
	}
	return c.append(out, b, int64(len(content)))[len("before"):]
}

// sameFrame reads a frame with content size and checksum.
func sameFrame(frame, want []byte) error {
	if len(want) == 0 {
		return nil
	}
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		return err
	}
	if !h.HasFCS || h.FrameContentSize != uint64(len(want)) || !h.HasCheckSum {
		return fmt.Errorf("header %+v lacks content size or checksum", h)
	}
	d, err := zstd.NewReader(nil)
	if err != nil {
		return err
	}
	defer d.Close()
	got, err := d.DecodeAll(frame, nil)
	if err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes of %d come back: %w", len(got), len(want), err)
	}
	damaged := slices.Clone(frame)
	damaged[len(damaged)/2] ^= 1
	if got, err := d.DecodeAll(damaged, nil); err == nil && len(want) > maxBlock {
		return fmt.Errorf("a damaged frame is taken for %d bytes", len(got))
	}
	return nil
}
