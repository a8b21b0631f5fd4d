package archive

import "cmp"

// Bounds of an archive.
const (
	DefaultMaxFiles  = 1000
	DefaultMaxBytes  = 64 << 20
	DefaultLargeFile = 16 << 20

	// maxBatchNames bounds the bytes of all paths in an archive, so that the open
	// archives of all prefixes fit in memory whatever the names.
	maxBatchNames = 512 << 10
)

// Bounds of a tar. Its members are many, since each costs no request.
const (
	maxTarFiles = 10_000
	maxTarNames = 2 << 20
)

// batcher groups entries into archives, those of one prefix in the order in
// which they come. The archives follow from the entries alone.
type batcher struct {
	maxFiles  int
	maxNames  int64
	maxBytes  int64
	largeFile int64
	layout    Layout
	open      map[string]*batch
	emit      func(Archive) error
	totals    Totals
}

// batch is an archive that still grows.
type batch struct {
	number  int64
	entries []Entry
	// bytes, names and apart sum what entries take of the bounds.
	bytes, names, apart int64
	// linked are the files with several names, by the first of them.
	linked map[inode]string
}

func newBatcher(o WalkOptions, emit func(Archive) error) *batcher {
	b := &batcher{
		maxFiles:  o.MaxFiles,
		maxNames:  maxBatchNames,
		maxBytes:  o.MaxBytes,
		largeFile: o.LargeFile,
		layout:    o.Layout,
		open:      map[string]*batch{},
		emit:      emit,
	}
	if t := o.Layout.Tar; t != nil {
		b.maxFiles, b.maxNames, b.maxBytes, b.largeFile = maxTarFiles, maxTarNames, t.TargetSize, t.LargeFile
		return b.resume(o)
	}
	if b.maxFiles <= 0 {
		b.maxFiles = DefaultMaxFiles
	}
	if b.maxBytes <= 0 {
		b.maxBytes = DefaultMaxBytes
	}
	if b.largeFile <= 0 {
		b.largeFile = DefaultLargeFile
	}
	return b.resume(o)
}

// resume has the numbers of archives go on where an earlier walk has come to.
func (b *batcher) resume(o WalkOptions) *batcher {
	for prefix, at := range o.Resume {
		b.open[prefix] = &batch{number: at.Next}
	}
	return b
}

// add puts an entry into the open archive of its prefix, and closes that once it
// is full. What is listed of a prefix is always everything up to some path, which
// is what a walk can be resumed from.
func (b *batcher) add(prefix string, f found) error {
	t := b.open[prefix]
	if t == nil {
		t = &batch{}
		b.open[prefix] = t
	}
	if !f.Sendable() {
		// What is never sent counts for nothing in the sums of bytes.
		f.Size = 0
	}
	cost := b.cost(&f)
	if cost.alone || t.bytes+cost.bytes > b.maxBytes || t.apart+cost.apart > b.maxBytes || t.names+int64(len(f.Path)) > b.maxNames {
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
	if cost.alone || len(t.entries) >= b.maxFiles {
		return b.close(prefix)
	}
	return nil
}

// cost is what an entry takes of the bounds of its archive, in bytes.
type cost struct {
	bytes int64
	// apart are those of files that a tar doesn't hold.
	apart int64
	// alone: nothing else shares the archive.
	alone bool
}

// cost also decides whether an entry becomes an object apart from its tar. A file
// with holes never does, since only a tar can leave them out; nor does one whose
// path makes no key.
func (b *batcher) cost(f *found) cost {
	switch {
	case !f.Sendable():
		return cost{}
	case b.layout.Tar == nil:
		return cost{bytes: f.Size, alone: f.Size > b.largeFile}
	}
	f.Object = f.Kind == File && f.Size > b.largeFile && f.Stored == 0 && b.layout.verdict(f.Path) == ""
	if f.Object {
		return cost{apart: f.Size}
	}
	return cost{bytes: memberSize(f.Entry, cmp.Or(f.Stored, f.Size))}
}

// link makes a hard link of a further name of a file that the archive holds.
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
