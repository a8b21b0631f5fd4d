package sim

// archive is what is true of one archive.
type archive struct {
	transfer *work
	prefix   *prefix
	number   int64
	partSize int64    // once it is cut
	parts    int      // that it is cut into; 0 for not yet
	stored   []uint64 // a bit for each part that was accepted
	bytes    int64    // of those parts
	done     bool     // a client has sent it whole
	failed   bool     // for good
	holder   *worker  // of ours that began it last
}

// prefix is one prefix of one transfer, with its archives in the order in which
// they appear.
type prefix struct {
	name      string
	place     int // among all prefixes of its partition
	index     int // among those of the transfer
	transfer  *work
	partition *partition
	archives  []*archive
	bytes     float64 // accepted parts, each once
	ended     int64   // archives done or failed
}

// work is what one transfer has to send.
type work struct {
	spec     *Transfer
	index    int
	prefixes []*prefix
	byName   map[string]*prefix
	partSize int64 // of archives that begin now
	endless  bool
	appeared int
	awaited  int // arrivals that are to come, or come again
	next     int // prefix that the next archive belongs to
	onArrive func()

	done, failed int64
	bytes        float64 // accepted parts, each once
}

// appear adds archives, turn by turn to each prefix.
func (w *work) appear(count int) {
	for range count {
		w.prefixes[w.next].grow()
		w.next = (w.next + 1) % len(w.prefixes)
		w.appeared++
	}
	if w.onArrive != nil {
		w.onArrive()
	}
}

func (p *prefix) grow() {
	p.archives = append(p.archives, &archive{transfer: p.transfer, prefix: p, number: int64(len(p.archives))})
}

// archive gives one by number; nil when it is not there yet. Where there are more
// than can be sent, each appears when it is asked for.
func (p *prefix) archive(number int64) *archive {
	for p.transfer.endless && int64(len(p.archives)) <= number {
		p.grow()
	}
	if number >= int64(len(p.archives)) {
		return nil
	}
	return p.archives[number]
}

// cut divides the archive into parts, once: whoever sends it later sends the same ones.
func (a *archive) cut() {
	if a.parts == 0 {
		a.partSize = a.transfer.partSize
		a.parts = partsOf(a.transfer.spec.archiveSize(), a.partSize)
	}
}

// partsOf is how many parts of a size an archive has; the last may be smaller.
func partsOf(archive, part int64) int { return int((archive + part - 1) / part) }

// partBytes is the size of one of its parts.
func (a *archive) partBytes(part int) int64 {
	return min(a.partSize, a.transfer.spec.archiveSize()-int64(part)*a.partSize)
}

// accept records that a part is stored, once.
func (a *archive) accept(part int) {
	if a.stored == nil {
		a.stored = make([]uint64, (a.parts+63)/64)
	}
	bit := uint64(1) << (part % 64)
	if a.stored[part/64]&bit != 0 {
		return
	}
	a.stored[part/64] |= bit
	bytes := a.partBytes(part)
	a.bytes += bytes
	if !a.failed {
		a.credit(bytes)
	}
}

// credit counts bytes as useful.
func (a *archive) credit(bytes int64) {
	a.prefix.bytes += float64(bytes)
	a.transfer.bytes += float64(bytes)
}

// finish records that a client has sent the archive whole.
func (a *archive) finish() {
	if !a.done && !a.failed {
		a.done = true
		a.transfer.done++
		a.prefix.ended++
	}
}

// fail records that the archive is given up: what stands of it is of no use.
func (a *archive) fail() {
	if a.done || a.failed {
		return
	}
	a.failed = true
	a.transfer.failed++
	a.prefix.ended++
	a.credit(-a.bytes)
}

// size in bytes.
func (t *Transfer) archiveSize() int64 { return int64(t.PartSize) * int64(t.ArchiveParts) }
