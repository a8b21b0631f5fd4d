package archive

// Bounds of an archive.
const (
	DefaultMaxFiles  = 1000
	DefaultMaxBytes  = 64 << 20
	DefaultLargeFile = 16 << 20

	// maxBatchNames bounds the bytes of all paths in an archive, so that the open
	// archives of all prefixes fit in memory whatever the names.
	maxBatchNames = 512 << 10
)

// batcher groups entries into archives, those of one prefix in the order in
// which they come. The archives follow from the entries alone.
type batcher struct {
	maxFiles  int
	maxBytes  int64
	largeFile int64
	open      map[string]*batch
	emit      func(Archive) error
	totals    Totals
}

// batch is an archive that still grows.
type batch struct {
	number       int64
	entries      []Entry
	bytes, names int64
}

func newBatcher(o WalkOptions, emit func(Archive) error) *batcher {
	b := &batcher{
		maxFiles:  o.MaxFiles,
		maxBytes:  o.MaxBytes,
		largeFile: o.LargeFile,
		open:      map[string]*batch{},
		emit:      emit,
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
	for prefix, at := range o.Resume {
		b.open[prefix] = &batch{number: at.Next}
	}
	return b
}

// add puts an entry into the open archive of its prefix. A large file closes
// that first, rather than overtake it: what is listed of a prefix is then
// always everything up to some path, which is what a walk can be resumed from.
func (b *batcher) add(prefix string, e Entry) error {
	t := b.open[prefix]
	if t == nil {
		t = &batch{}
		b.open[prefix] = t
	}
	var size int64
	if e.Sendable() {
		size = e.Size
	}
	large := size > b.largeFile
	if large || t.bytes+size > b.maxBytes || t.names+int64(len(e.Path)) > maxBatchNames {
		if err := b.close(prefix); err != nil {
			return err
		}
	}
	t.entries = append(t.entries, e)
	t.bytes += size
	t.names += int64(len(e.Path))
	if large || len(t.entries) >= b.maxFiles {
		return b.close(prefix)
	}
	return nil
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
