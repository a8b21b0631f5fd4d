package sim

import "math/bits"

// archive is what is true of one archive.
type archive struct {
	transfer *work
	prefix   *prefix
	number   int64
	stored   []uint64 // a bit for each part that was accepted
	count    int      // of those bits
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

// accept records that a part is stored, once.
func (a *archive) accept(part int) {
	if a.stored == nil {
		a.stored = make([]uint64, (a.transfer.spec.ArchiveParts+63)/64)
	}
	bit := uint64(1) << (part % 64)
	if a.stored[part/64]&bit != 0 {
		return
	}
	a.stored[part/64] |= bit
	a.count++
	if !a.failed {
		a.credit(1)
	}
}

// credit counts so many parts as useful.
func (a *archive) credit(parts int) {
	bytes := float64(parts) * float64(a.transfer.spec.PartSize)
	a.prefix.bytes += bytes
	a.transfer.bytes += bytes
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
	stored := 0
	for _, w := range a.stored {
		stored += bits.OnesCount64(w)
	}
	a.credit(-stored)
}

// size in bytes.
func (t *Transfer) archiveSize() int64 { return int64(t.PartSize) * int64(t.ArchiveParts) }
