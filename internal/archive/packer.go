package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
)

// Packer makes the parts of one archive's object: a tar, compressed if the
// layout says so. A file that is no longer as planned is omitted, or counts as
// failed if it changes while it is read. It is safe for concurrent use.
type Packer struct {
	source  *Source
	files   opener
	entries []Entry
	// compressor is nil for a plain tar.
	compressor *Compressor
	algorithm  DigestAlgorithm

	mu sync.Mutex
	// next is the entry to be opened, current the one being read, from at on.
	next    int
	current *member
	at      int64
	digest  *FileDigest
	// size is that of the tar so far, sent that of the object; ended: the trailer is in.
	size, sent int64
	ended      bool
	packed     []Packed
	// room is what the manifest has left for extended attributes.
	room   xattrBudget
	frames []frame
	// broken is why a part could not be made; no further parts are made.
	broken error
	// parts hold where each part begins in the tar, and its first frame.
	parts []part
}

// Packed is the outcome of an entry.
type Packed struct {
	// In says that the entry is in the tar, at Place.
	In bool
	Place
	// Xattrs are its extended attributes, if the manifest has room for them; NotKept names those
	// that are omitted.
	Xattrs  []Xattr
	NotKept []string
	// Err says why the entry is not in the tar, or not whole; a *FileError.
	Err error
}

// Range is a run of bytes of an object. Of a compressed archive these are whole
// frames, which expand to the tar from TarOffset on.
type Range struct {
	Offset    int64 `json:"offset"`
	Length    int64 `json:"length"`
	TarOffset int64 `json:"tarOffset"`
}

type frame struct{ tar, tarLength, object, length int64 }

type part struct {
	tar   int64
	frame int
}

// NewPacker returns a packer of an archive that makes a tar, compressed unless the
// compressor is nil, and takes digests of its files. It opens nothing yet.
func NewPacker(s *Source, c *Compressor, d DigestAlgorithm, a Archive) *Packer {
	return &Packer{source: s, files: opener{source: s}, entries: a.Entries, compressor: c, algorithm: d, packed: make([]Packed, len(a.Entries)), room: newXattrBudget()}
}

// Fill makes part n, counted from 0, of the object in buf and returns its
// length, and whether it is the last. Parts are made in order the first time;
// a part made before can be made again and is the same, or else the error says
// that the source has changed. All but the last fill buf, but for less than
// one compressed frame. The error is of the source as a whole, a *FileError or ctx's.
func (p *Packer) Fill(ctx context.Context, n int, buf []byte) (length int, last bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.files.Close()
	switch {
	case p.broken != nil:
		return 0, false, p.broken
	case n < len(p.parts):
		return p.refill(ctx, n, buf)
	case n > len(p.parts) || p.ended:
		return 0, false, fmt.Errorf("read part %d again: only %d parts have been read", n, len(p.parts))
	}
	length, err = p.makeNext(ctx, buf)
	// What was begun cannot be begun again.
	p.broken = err
	return length, p.ended && p.current == nil, err
}

// makeNext makes the next part.
func (p *Packer) makeNext(ctx context.Context, buf []byte) (length int, err error) {
	p.parts = append(p.parts, part{p.size, len(p.frames)})
	if p.compressor == nil {
		length, err = p.read(ctx, buf)
		p.sent += int64(length)
	} else {
		length, err = p.compress(ctx, buf)
	}
	if err == nil {
		// What comes next decides whether this is the last part.
		err = p.advance(ctx)
	}
	return length, err
}

// compress fills buf with as many frames as are sure to fit.
func (p *Packer) compress(ctx context.Context, buf []byte) (int, error) {
	b := p.compressor.get()
	defer p.compressor.put(b)
	out := buf[:0]
	for len(out)+p.compressor.most() <= len(buf) {
		if err := p.advance(ctx); err != nil {
			return 0, err
		}
		if p.done() {
			break
		}
		start := p.size
		b.begin(out)
		length, err := p.frame(ctx, b)
		if err != nil {
			return 0, err
		}
		before := len(out)
		out = p.compressor.append(out, b, length)
		made := int64(len(out) - before)
		p.frames = append(p.frames, frame{start, length, p.sent, made})
		p.sent += made
	}
	return len(out), nil
}

// frame reads what the next frame is to hold: whole members, as many as fit, or
// a piece of one that is larger than a frame. So a member that fits into a frame
// is never spread over two.
func (p *Packer) frame(ctx context.Context, b *frameBuffer) (length int64, err error) {
	for length < FrameSize {
		if err := p.advance(ctx); err != nil {
			return 0, err
		}
		if p.done() || p.at == 0 && length > 0 && length+p.current.length() > FrameSize {
			break
		}
		length += int64(p.step(ctx, b.rest(length)))
	}
	return length, nil
}

// read fills buf with what comes next of the tar.
func (p *Packer) read(ctx context.Context, buf []byte) (int, error) {
	filled := 0
	for filled < len(buf) {
		if err := p.advance(ctx); err != nil || p.done() {
			return filled, err
		}
		filled += p.step(ctx, buf[filled:min(filled+FrameSize, len(buf))])
	}
	return filled, nil
}

// done says that the tar is complete.
func (p *Packer) done() bool { return p.ended && p.current == nil }

// advance opens the next member unless one is open, skipping those that can no longer
// be read. The trailer comes last.
func (p *Packer) advance(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.current != nil {
		return p.current.wake(ctx, p.source)
	}
	for p.current == nil && !p.ended {
		if p.next == len(p.entries) {
			p.ended = true
			p.current, p.at = &member{header: make([]byte, trailerSize)}, 0
			return nil
		}
		e, packed := p.entries[p.next], &p.packed[p.next]
		p.next++
		if !e.Packable() {
			continue
		}
		m, err := p.open(ctx, e)
		if _, ok := errors.AsType[*FileError](err); err != nil && !ok || scarce(err) {
			return err
		}
		if packed.Err = err; err != nil {
			continue
		}
		packed.In, packed.Offset, packed.Length = true, p.size, m.length()
		packed.Data = p.size + int64(len(m.header))
		packed.Sparse = m.sparse
		packed.keep(m, &p.room)
		p.current, p.at, p.digest = m, 0, m.newDigest(p.algorithm)
	}
	return nil
}

// open opens a member, unless it is a hard link to one that is missing from the tar, or a link
// that is no longer as planned. Of links nothing is read, so this is where a change is noticed.
func (p *Packer) open(ctx context.Context, e Entry) (*member, error) {
	if e.Kind == HardLink {
		at, found := slices.BinarySearchFunc(p.entries, e.Link, func(e Entry, path string) int { return ComparePaths(e.Path, path) })
		if !found || !p.packed[at].In || p.packed[at].Err != nil {
			return nil, &FileError{e.Path, ErrVanished, fmt.Errorf("its hard link target %q is not in the archive", e.Link)}
		}
	}
	if err := p.source.sameLink(ctx, e); err != nil {
		return nil, err
	}
	return p.source.openMember(ctx, e, p.files.Open, p.room.names)
}

// keep records the extended attributes of a member, as far as the manifest has room for them.
func (p *Packed) keep(m *member, room *xattrBudget) {
	p.Attributes = room.takeNames(attributeNames(m.xattrs))
	p.NotKept = room.takeNames(m.others)
	if room.takeValues(m.xattrs) {
		p.Xattrs = m.xattrs
	}
}

// step reads what buf takes of the current member, and finishes it at its end.
func (p *Packer) step(ctx context.Context, buf []byte) int {
	m := p.current
	n := min(int64(len(buf)), m.length()-p.at)
	m.readAt(buf[:n], p.at, p.digest)
	p.at += n
	p.size += n
	if p.at == m.length() {
		p.finish(ctx, m)
	}
	return int(n)
}

// finish records the outcome of the current member.
func (p *Packer) finish(ctx context.Context, m *member) {
	p.current = nil
	defer m.close()
	if m.entry.Path == "" {
		return
	}
	packed := &p.packed[p.next-1]
	var sum ContentDigest
	if p.digest != nil {
		skipTo(p.digest, m.entry.Size)
		sum = p.digest.Sum()
	}
	if packed.Err = m.whole(ctx, sum); packed.Err == nil {
		packed.Digest = sum
	}
}

// refill makes a part again.
func (p *Packer) refill(ctx context.Context, n int, buf []byte) (length int, last bool, err error) {
	from, to := p.parts[n], part{p.size, len(p.frames)}
	if n+1 < len(p.parts) {
		to = p.parts[n+1]
	}
	last = n+1 == len(p.parts) && p.done()
	if p.compressor == nil {
		length = int(to.tar - from.tar)
		return length, last, p.readAt(ctx, buf[:length], from.tar)
	}
	out := buf[:0]
	b := p.compressor.get()
	defer p.compressor.put(b)
	for _, f := range p.frames[from.frame:to.frame] {
		if err := p.readAt(ctx, b.raw[:f.tarLength], f.tar); err != nil {
			return 0, false, err
		}
		out = p.compressor.append(out, b, f.tarLength)
	}
	return len(out), last, nil
}

// readAt reads a piece of the tar that was made before.
func (p *Packer) readAt(ctx context.Context, buf []byte, off int64) error {
	for i := p.memberAt(off); len(buf) > 0 && i < len(p.entries); i++ {
		packed := p.packed[i]
		if !packed.In || packed.Length == 0 {
			continue
		}
		if packed.Offset > off {
			break
		}
		n := min(int64(len(buf)), packed.Offset+packed.Length-off)
		if n <= 0 {
			continue
		}
		if err := p.reread(ctx, p.entries[i], packed, buf[:n], off-packed.Offset); err != nil {
			return err
		}
		buf, off = buf[n:], off+n
	}
	clear(buf)
	return nil
}

// memberAt returns the first entry that may extend beyond an offset in the tar.
func (p *Packer) memberAt(off int64) int {
	// Entries that are not in the tar have no offset; the search goes by those opened,
	// from the last that begins at or before off.
	at := sort.Search(p.next, func(k int) bool { return p.offsetFrom(k) > off })
	for at > 0 {
		at--
		if p.packed[at].In {
			return at
		}
	}
	return 0
}

// offsetFrom returns where the first member from entry k on begins.
func (p *Packer) offsetFrom(k int) int64 {
	for ; k < p.next; k++ {
		if p.packed[k].In {
			return p.packed[k].Offset
		}
	}
	return p.size
}

func (p *Packer) reread(ctx context.Context, e Entry, packed Packed, buf []byte, off int64) error {
	m, err := p.source.openMember(ctx, e, p.files.Open, namesSize(packed.Attributes))
	if err != nil {
		return err
	}
	defer m.close()
	if m.length() != packed.Length {
		return &FileError{e.Path, ErrChanged, errors.New("its attributes or holes have changed")}
	}
	m.readAt(buf, off, nil)
	return nil
}

// Packed returns the outcome of each entry, in order, once all parts are made. The caller
// must not modify it.
func (p *Packer) Packed() []Packed {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.packed {
		if one := &p.packed[i]; one.In {
			one.Frame = p.rangeOf(one.Offset, one.Length)
		}
	}
	return p.packed
}

// rangeOf returns where the object holds a run of bytes of the tar.
func (p *Packer) rangeOf(off, length int64) Range {
	if p.compressor == nil {
		return Range{off, length, off}
	}
	first := sort.Search(len(p.frames), func(k int) bool { return p.frames[k].tar > off }) - 1
	r := Range{Offset: p.frames[first].object, TarOffset: p.frames[first].tar}
	for _, f := range p.frames[first:] {
		if f.tar >= off+length {
			break
		}
		r.Length += f.length
	}
	return r
}

// Size is that of the object, once all parts are made.
func (p *Packer) Size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}

// Rest closes what is open, until Fill needs it again.
func (p *Packer) Rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current.rest()
}

// Close releases what is open. The packer must not be used afterwards.
func (p *Packer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current != nil {
		p.current.close()
		p.current = nil
	}
	return nil
}
