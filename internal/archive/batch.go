package archive

import "cmp"

// Bounds of an archive whose files are objects each. That of all names keeps the open
// archives of all prefixes in memory, whatever the names.
const (
	maxBatchFiles = 1000
	maxBatchBytes = 64 << 20
	maxBatchNames = 512 << 10
	// largeBatchFile is the size in bytes above which a file is an archive of its own.
	largeBatchFile = 16 << 20
)

// Bounds of a tar. Its members are many, since each costs no request.
const (
	maxTarFiles = 10_000
	maxTarNames = 2 << 20
)

// bounds are what an archive holds at most: files, bytes of them, bytes of their names; and
// the size in bytes above which a file is not put together with others. Zero is the default.
type bounds struct {
	files               int
	bytes, names, large int64
}

// of returns the bounds for a layout.
func (b bounds) of(l Layout) bounds {
	most := bounds{maxBatchFiles, maxBatchBytes, maxBatchNames, largeBatchFile}
	if t := l.Tar; t != nil {
		most = bounds{maxTarFiles, t.TargetSize, maxTarNames, t.LargeFile}
	}
	return bounds{cmp.Or(b.files, most.files), cmp.Or(b.bytes, most.bytes), cmp.Or(b.names, most.names), cmp.Or(b.large, most.large)}
}

// batcher groups entries into archives, those of one prefix in the order in
// which they come. The archives follow from the entries alone.
type batcher struct {
	bounds bounds
	layout Layout
	open   map[string]*batch
	emit   func(Archive) error
	totals Totals
}

// batch is an archive that is still open.
type batch struct {
	number  int64
	entries []Entry
	// bytes, names and apart sum what entries take of the bounds.
	bytes, names, apart int64
	// linked are the files with several names, by the first of them.
	linked map[inode]string
}

func newBatcher(o WalkOptions, emit func(Archive) error) *batcher {
	b := &batcher{bounds: o.bounds.of(o.Layout), layout: o.Layout, open: map[string]*batch{}, emit: emit}
	// Numbers continue after those of an earlier walk.
	for prefix, at := range o.Resume {
		b.open[prefix] = &batch{number: at.Next}
	}
	return b
}

// add appends an entry to the open archive of its prefix, and closes the archive once
// full. The listed archives of a prefix always cover everything up to some path, from
// which a walk can be resumed.
func (b *batcher) add(prefix string, f found) error {
	t := b.open[prefix]
	if t == nil {
		t = &batch{}
		b.open[prefix] = t
	}
	if !f.Sendable() {
		// What is never sent adds no bytes.
		f.Size = 0
	}
	cost := b.cost(&f)
	if cost.alone || t.bytes+cost.bytes > b.bounds.bytes || t.apart+cost.apart > b.bounds.bytes || t.names+int64(len(f.Path)) > b.bounds.names {
		if err := b.close(prefix); err != nil {
			return err
		}
	}
	if t.link(&f) {
		cost.bytes = headerReserve
	}
	t.entries = append(t.entries, f.Entry)
	t.bytes += cost.bytes
	t.apart += cost.apart
	t.names += int64(len(f.Path) + len(f.Link))
	if cost.alone || len(t.entries) >= b.bounds.files {
		return b.close(prefix)
	}
	return nil
}

// cost is what an entry adds to its archive, in bytes.
type cost struct {
	bytes int64
	// apart is for files stored beside the tar.
	apart int64
	// alone: nothing else shares the archive.
	alone bool
}

// cost also decides whether an entry is stored beside its tar. A file with holes
// never is, since only a tar can omit them; nor is one whose path makes no key.
func (b *batcher) cost(f *found) cost {
	switch {
	case !f.Sendable():
		return cost{}
	case b.layout.Tar == nil:
		return cost{bytes: f.Size, alone: f.Size > b.bounds.large}
	}
	f.Object = f.Kind == File && f.Size > b.bounds.large && f.Stored == 0 && b.layout.verdict(f.Path) == ""
	if f.Object {
		return cost{apart: f.Size}
	}
	return cost{bytes: memberSize(f.Entry, cmp.Or(f.Stored, f.Size))}
}

// link turns a further name of a file in the archive into a hard link.
func (t *batch) link(f *found) bool {
	if f.inode == (inode{}) || f.Object || !f.Sendable() {
		return false
	}
	if first, ok := t.linked[f.inode]; ok {
		f.Kind, f.Link, f.Size, f.Stored = HardLink, first, 0, 0
		return true
	}
	if t.linked == nil {
		t.linked = map[inode]string{}
	}
	t.linked[f.inode] = f.Path
	return false
}

// close emits the open archive of a prefix, if there is one.
func (b *batcher) close(prefix string) error {
	t := b.open[prefix]
	if t == nil || len(t.entries) == 0 {
		return nil
	}
	a := Archive{Prefix: prefix, Number: t.number, Entries: t.entries}
	*t = batch{number: t.number + 1}
	b.totals.add(a)
	return b.emit(a)
}
