package worker

import (
	"cmp"
	"slices"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/lease"
	"cargoship.dev/operator/internal/coordination/protocol"
	"cargoship.dev/operator/internal/upload"
)

// archiveID names an archive of the transfer.
type archiveID struct {
	prefix string
	number int64
}

// assignment is an archive to send, and which attempt it is.
type assignment struct {
	archiveID
	attempt int32
	// reserved: it was taken from the reserve.
	reserved bool
}

// prefixWork is the work on one prefix.
type prefixWork struct {
	name string
	// assigned are the archives granted, in the order to send them.
	assigned []assignment
	// reserve are the archives of the grant's reserve that were not begun, taken those that
	// ever were.
	reserve, taken protocol.Ranges
	// limit is how many files may be under way, files how many are.
	limit, files int
}

// assign takes the assignments of the grant over into the work on each prefix.
func (e *Engine) assign() {
	for _, w := range e.prefixes {
		w.assigned, w.reserve = nil, protocol.Ranges{}
	}
	if e.grant.Mode == v1alpha1.LeaseDrain {
		return
	}
	for _, p := range e.grant.Prefixes {
		w := e.prefix(p.Name)
		for _, a := range p.Archives {
			if a.Number != nil {
				w.assigned = append(w.assigned, assignment{archiveID: archiveID{p.Name, *a.Number}, attempt: a.Attempt})
			}
		}
		e.assignReserve(w, p.Reserve)
	}
}

func (e *Engine) prefix(prefix string) *prefixWork {
	w := e.prefixes[prefix]
	if w == nil {
		w = &prefixWork{name: prefix}
		e.prefixes[prefix] = w
	}
	return w
}

// withdraw cancels the attempts that are no longer granted, and forgets that
// archives have ended which no grant could begin again.
func (e *Engine) withdraw() {
	granted := map[archiveID]int32{}
	for _, w := range e.prefixes {
		for _, a := range w.assigned {
			granted[a.archiveID] = a.attempt
		}
	}
	for id, a := range e.attempts {
		if granted[id] != a.attempt {
			a.cancel()
			a.withdrawn = true
			e.retire(a)
		}
	}
	for id, attempt := range e.ended {
		if granted[id] != attempt {
			delete(e.ended, id)
		}
	}
}

// setLimits opens the gate as far as grant and lease allow. The gate is told only
// of a change or of a new grant, since it takes back its own cuts when told.
func (e *Engine) setLimits(renewed bool) {
	limits := e.allowed()
	for _, w := range e.prefixes {
		w.limit = 0
	}
	for _, limit := range limits {
		if limit.Window > 0 {
			e.prefix(limit.Prefix).limit = limit.Window + protocol.FilesAhead
		}
	}
	coasting := coasts(e.lease.Phase(time.Now()))
	if renewed || coasting != e.coasting || !slices.Equal(limits, e.limits) {
		if coasting {
			e.options.Gate.Narrow(e.limited, limits)
		} else {
			e.options.Gate.Set(e.limited, limits)
		}
		e.coasting = coasting
		if sends(limits) && !sends(e.limits) {
			// A report now, so that the next spans nothing but sending: rates are taken
			// over the time between two.
			notify(e.eager)
		}
		e.limits = limits
	}
}

// sends tells whether the limits let anything through.
func sends(limits []upload.PrefixLimit) bool {
	return slices.ContainsFunc(limits, func(limit upload.PrefixLimit) bool { return limit.Window > 0 })
}

// allowed returns the limits that hold now: the grant's; after the lease what is left of
// them, and at last the floor; nothing before it has begun or while the engine is blocked.
func (e *Engine) allowed() []upload.PrefixLimit {
	if e.over || e.blockage.blocked || e.grant.Mode != v1alpha1.LeaseActive {
		return nil
	}
	switch phase := e.lease.Phase(time.Now()); phase {
	case lease.Held:
		return granted(e.grant.Prefixes)
	case lease.Coasting, lease.Isolated:
		return e.coasted(phase == lease.Isolated)
	case lease.Expired:
		return e.floor()
	default:
		return nil
	}
}

func granted(prefixes []v1alpha1.PrefixGrant) []upload.PrefixLimit {
	limits := make([]upload.PrefixLimit, 0, len(prefixes))
	for _, p := range prefixes {
		limit := upload.PrefixLimit{Prefix: p.Name, Window: windowOf(p)}
		if p.MilliRequestsPerSecond != nil {
			limit.Rate = float64(*p.MilliRequestsPerSecond) / 1000
		}
		limits = append(limits, limit)
	}
	return limits
}

// paceOf is what a grant allows in all.
func paceOf(g v1alpha1.PrefixLeaseSpec) upload.Pace {
	return upload.Pace{Bytes: float64(g.BytesPerSecond), Requests: float64(g.MilliRequestsPerSecond) / 1000}
}

// limitsAs tells that two grants of one leader differ in archives at most.
func limitsAs(g, h v1alpha1.PrefixLeaseSpec) bool {
	open := func(prefixes []v1alpha1.PrefixGrant) []upload.PrefixLimit {
		return slices.DeleteFunc(granted(prefixes), func(limit upload.PrefixLimit) bool { return limit.Window == 0 })
	}
	return g.Epoch == h.Epoch && slices.Equal(open(g.Prefixes), open(h.Prefixes))
}

func windowOf(p v1alpha1.PrefixGrant) int {
	if p.Window == nil {
		return 0
	}
	return int(*p.Window)
}

// floor is the uncoordinated floor: one request at a time, on the first prefix
// of the grant that has archives left. Prefixes without a window come last, lest
// archives held there never end. It stays on a prefix as long as that has archives
// left, through leases in between, since one request in flight there and one
// elsewhere would be two. A grant without any window leaves none.
func (e *Engine) floor() []upload.PrefixLimit {
	if !slices.ContainsFunc(e.grant.Prefixes, func(p v1alpha1.PrefixGrant) bool { return windowOf(p) > 0 }) {
		return nil
	}
	prefixes := slices.Clone(e.grant.Prefixes)
	rank := func(p v1alpha1.PrefixGrant) int {
		if p.Name == e.floorOn {
			return 2
		}
		return min(1, windowOf(p))
	}
	slices.SortStableFunc(prefixes, func(a, b v1alpha1.PrefixGrant) int { return cmp.Compare(rank(b), rank(a)) })
	for _, p := range prefixes {
		if w := e.prefix(p.Name); slices.ContainsFunc(w.assigned, e.unfinished) {
			e.floorOn = p.Name
			return []upload.PrefixLimit{{Prefix: p.Name, Window: 1}}
		}
	}
	return nil
}

// unfinished says that an assigned archive has not ended and is, or could be, under way.
func (e *Engine) unfinished(a assignment) bool {
	if e.attempts[a.archiveID] != nil {
		return true
	}
	_, ended := e.ended[a.archiveID]
	return !ended && e.room()
}

// room says that one more archive can end and still fit into a report.
func (e *Engine) room() bool { return len(e.finished)+len(e.attempts) < protocol.MaxFinished }

// pump begins on a prefix whatever may begin now.
func (e *Engine) pump(w *prefixWork) {
	if w.limit == 0 || e.ctx == nil || e.ctx.Err() != nil {
		return
	}
	ahead := 0
	for i := 0; i < len(w.assigned) || ahead < protocol.ArchivesAhead && e.takeReserved(w); i++ {
		as := w.assigned[i]
		a := e.attempts[as.archiveID]
		if a == nil && ahead < protocol.ArchivesAhead && e.unfinished(as) && (e.members() < maxMembers || w.files == 0 && ahead == 0) {
			a = e.begin(as)
		}
		if a == nil || a.withdrawn {
			continue
		}
		// Only the most urgent archive sends; the one behind it is fetched meanwhile.
		if waits := ahead > 0 && a.stage == stageSend && a.unsent(); !waits {
			e.advance(w, a)
		}
		if a.unsent() {
			ahead++
		}
	}
}

// members counts the entries of all archives under way.
func (e *Engine) members() int {
	sum := 0
	for _, a := range e.attempts {
		sum += len(a.members)
	}
	return sum
}

// starving says that everything assigned on the prefix has begun to be sent.
func (e *Engine) starving(w *prefixWork) bool {
	return !slices.ContainsFunc(w.assigned, func(as assignment) bool {
		a := e.attempts[as.archiveID]
		if a == nil {
			return e.unfinished(as)
		}
		return a.unsent()
	})
}
