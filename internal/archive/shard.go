package archive

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/klauspost/compress/zstd"
)

// A shard lists consecutive archives of one prefix. It is a zstd stream of JSON
// lines, one for each entry, in which every archive is a frame of its own. A
// skippable frame in front, which zstd tools pass over, holds the header: with
// it one archive can be read without expanding the others.

// skippableMagic begins a skippable frame; four bytes of length follow, then
// the content (RFC 8878, section 3.1.2). Integers are little-endian.
const (
	skippableMagic  = 0x184D2A50
	skippableFields = 8
)

type shardHeader struct {
	Version int    `json:"version"`
	Prefix  string `json:"prefix"`
	// First is the number of the first archive.
	First int64 `json:"first"`
	// FilesBefore and BytesBefore sum up the shards before this one.
	FilesBefore int64          `json:"filesBefore"`
	BytesBefore int64          `json:"bytesBefore"`
	Archives    []shardArchive `json:"archives"`
}

type shardArchive struct {
	// Frame is the length in bytes of the archive's frame.
	Frame int64 `json:"frame"`
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

type shardLine struct {
	Archive int64 `json:"archive"`
	wireName
	Size int64  `json:"size"`
	Mode string `json:"mode"`
	wireTime
	wireTar
	Object  bool   `json:"object,omitempty"`
	Stored  int64  `json:"stored,omitempty"`
	Skipped string `json:"skipped,omitempty"`
	Failed  string `json:"failed,omitempty"`
}

// encodeFrame returns the frame of one archive.
func encodeFrame(enc *zstd.Encoder, a Archive) ([]byte, error) {
	var lines bytes.Buffer
	w := json.NewEncoder(&lines)
	w.SetEscapeHTML(false)
	for _, e := range a.Entries {
		line := shardLine{
			a.Number, toWireName(e.Path), e.Size, FormatMode(e.Mode), toWireTime(e.ModTime),
			toWireTar(e.Kind, e.Link, e.UID, e.GID), e.Object, e.Stored, e.Skipped, e.Failed,
		}
		if err := w.Encode(line); err != nil {
			return nil, fmt.Errorf("encode %q: %w", e.Path, err)
		}
	}
	return enc.EncodeAll(lines.Bytes(), nil), nil
}

// encodeShard puts the header in front of the frames.
func encodeShard(h shardHeader, frames []byte) ([]byte, error) {
	h.Version = FormatVersion
	header, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode shard header: %w", err)
	}
	out := make([]byte, 0, skippableFields+len(header)+len(frames))
	out = binary.LittleEndian.AppendUint32(out, skippableMagic)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(header)))
	return append(append(out, header...), frames...), nil
}

// shard is a shard as read, its archives still compressed.
type shard struct {
	header shardHeader
	// ends holds, for each archive, where its frame ends in frames.
	ends   []int64
	frames []byte
}

// decodeShard reads the header and checks the frames against it.
func decodeShard(data []byte) (*shard, error) {
	if len(data) < skippableFields || binary.LittleEndian.Uint32(data) != skippableMagic {
		return nil, errors.New("it has no header")
	}
	length := int64(binary.LittleEndian.Uint32(data[4:]))
	data = data[skippableFields:]
	if length > int64(len(data)) {
		return nil, errors.New("its header is truncated")
	}
	s := &shard{frames: data[length:]}
	if err := decodeVersioned(data[:length], &s.header, &s.header.Version); err != nil {
		return nil, err
	}
	if s.header.First < 0 || s.header.FilesBefore < 0 || s.header.BytesBefore < 0 {
		return nil, errors.New("its header holds negative numbers")
	}
	var end int64
	for i, a := range s.header.Archives {
		if a.Frame <= 0 || a.Files <= 0 || a.Files > maxMembers || a.Bytes < 0 || a.Frame > int64(len(s.frames))-end {
			return nil, fmt.Errorf("its header does not match its archive %d", i)
		}
		end += a.Frame
		s.ends = append(s.ends, end)
	}
	if end != int64(len(s.frames)) || end == 0 || s.header.First > math.MaxInt64-int64(len(s.ends)) {
		return nil, errors.New("its header does not match its archives")
	}
	return s, nil
}

// next is the number that follows the shard's last archive.
func (s *shard) next() int64 { return s.header.First + int64(len(s.ends)) }

// holds says that the archive is in the shard.
func (s *shard) holds(number int64) bool { return number >= s.header.First && number < s.next() }

// archive expands one archive that the shard holds.
func (s *shard) archive(number int64) (Archive, error) {
	i := number - s.header.First
	var start int64
	if i > 0 {
		start = s.ends[i-1]
	}
	a := Archive{Prefix: s.header.Prefix, Number: number}
	raw, err := expand(s.frames[start:s.ends[i]])
	if err != nil {
		return a, fmt.Errorf("archive %d: %w", number, err)
	}
	for line := range bytes.Lines(raw) {
		if a.Files() == s.header.Archives[i].Files {
			return a, fmt.Errorf("archive %d: it has more entries than the header counts", number)
		}
		e, err := decodeLine(line, number)
		if err != nil {
			return a, fmt.Errorf("archive %d: entry %d: %w", number, len(a.Entries), err)
		}
		a.Entries = append(a.Entries, e)
	}
	if a.Files() != s.header.Archives[i].Files || a.Bytes() != s.header.Archives[i].Bytes {
		return a, fmt.Errorf("archive %d: its entries do not match the header", number)
	}
	return a, nil
}

func decodeLine(line []byte, number int64) (Entry, error) {
	var w shardLine
	if err := json.Unmarshal(line, &w); err != nil {
		return Entry{}, err
	}
	p, err := w.name()
	if err != nil {
		return Entry{}, err
	}
	mode, err := ParseMode(w.Mode)
	if err != nil {
		return Entry{}, err
	}
	if w.Archive != number || w.Size < 0 || w.Stored < 0 || (w.Skipped != "" && w.Failed != "") || !w.consistent() {
		return Entry{}, errors.New("it is inconsistent")
	}
	return Entry{
		Path: p, Size: w.Size, ModTime: w.time(), Mode: mode,
		Kind: w.Kind, Link: w.link(), UID: w.UID, GID: w.GID, Object: w.Object, Stored: w.Stored,
		Skipped: w.Skipped, Failed: w.Failed,
	}, nil
}

// totals sums up the shard and all before it.
func (s *shard) totals() PlannedPrefix {
	t := PlannedPrefix{Name: s.header.Prefix, Archives: s.next(), Files: s.header.FilesBefore, Bytes: s.header.BytesBefore}
	for _, a := range s.header.Archives {
		t.Files += a.Files
		t.Bytes += a.Bytes
	}
	return t
}
