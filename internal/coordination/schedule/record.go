package schedule

// What is recorded of the archives of a transfer that have ended is bounded: a status has to hold
// it. An archive is charged a bit when it is handed out, and a run of those that have ended, or that
// nobody began, what its length takes in the packed form of protocol.Ranges. Archives that end in their
// order take less than that, and those that end in no order at all 1.1 bits each. In the worst of all orders,
// two and two, they take half as much again. Not charged is what ends in a reserve while nobody leads: that may
// exceed the bound until what was begun there has ended.
const (
	// The record of a transfer has recordBytes, or where it has very many workers workerBytes for
	// each, but no more than mostBytes, since the schema lets that of one prefix have 64 KiB.
	recordBytes = 6 << 10
	workerBytes = 4
	mostBytes   = 48 << 10
	bitsPerByte = 6 // it is base64
	// reservePart of it is for runs that nobody began.
	reservePart = 4
	// archiveBits are charged for an archive that is under way.
	archiveBits = 1
)

// record is the room in the record of a transfer, in bits.
type record struct {
	// free is left, reserves is left for runs that nobody began.
	free, reserves int64
	// underWay is how many archives may be under way at once.
	underWay int
}

// measureRecord finds how much room the record has.
func (t *TransferScheduler) measureRecord() {
	limit := int64(bitsPerByte * min(max(recordBytes, workerBytes*len(t.workers)), mostBytes))
	var ended, untouched, underWay int64
	for _, l := range t.prefixes {
		ended += l.finished.RunBits()
		untouched += l.backlog.untouched.RunBits()
		underWay += max(0, l.backlog.underWay())
	}
	left := limit - ended - untouched
	t.record = record{free: left - archiveBits*underWay, reserves: limit/reservePart - untouched, underWay: int(max(0, left) / archiveBits)}
}

// admits tells that one more archive may be under way. One of a prefix may be in any case, or
// nothing would ever end.
func (l *Prefix) admits() bool {
	return l.transfer.record.free >= archiveBits || l.backlog.underWay() <= 0
}

// reserve takes at most so many archives out of the range, for a worker to go on with while
// nobody leads.
func (l *Prefix) reserve(count int64) (first, last int64, ok bool) {
	r, before := &l.transfer.record, l.backlog.untouched.RunBits()
	if min(r.free, r.reserves) < reserveBits {
		return 0, 0, false
	}
	first, last, ok = l.backlog.reserve(count)
	bits := l.backlog.untouched.RunBits() - before
	r.free, r.reserves = r.free-bits, r.reserves-bits
	return first, last, ok
}
