package worker

import (
	"cmp"
	"slices"
	"time"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/coordination/lease"
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
}

// lane is the work on one prefix.
type lane struct {
	name string
	// assigned are the archives granted, in the order to send them.
	assigned []assignment
	// limit is how many files may be under way, files how many are.
	limit, files int
}

// assign takes the assignments of the grant over into the lanes.
func (e *Engine) assign() {
	for _, l := range e.lanes {
		l.assigned = nil
	}
	if e.grant.Mode == v1alpha1.LeaseDrain {
		return
	}
	for _, p := range e.grant.Prefixes {
		l := e.lane(p.Name)
		for _, a := range p.Archives {
			if a.Number != nil {
				l.assigned = append(l.assigned, assignment{archiveID{p.Name, *a.Number}, a.Attempt})
			}
		}
	}
}

func (e *Engine) lane(prefix string) *lane {
	l := e.lanes[prefix]
	if l == nil {
		l = &lane{name: prefix}
		e.lanes[prefix] = l
	}
	return l
}

// withdraw cancels the attempts that are no longer granted, and forgets that
// archives have ended which no grant could begin again.
func (e *Engine) withdraw() {
	granted := map[archiveID]int32{}
	for _, l := range e.lanes {
		for _, a := range l.assigned {
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
	for _, l := range e.lanes {
		l.limit = 0
	}
	for _, w := range limits {
		if w.Window > 0 {
			e.lane(w.Prefix).limit = w.Window + filesAhead
		}
	}
	if renewed || !slices.Equal(limits, e.limits) {
		e.options.Gate.Set(e.limited, limits)
		if sends(limits) && !sends(e.limits) {
			// A report now, so that the next spans nothing but sending: rates are taken
			// over the time between two.
			notify(e.eager)
		}
		e.limits = limits
	}
}

// sends tells whether the limits let anything through.
func sends(limits []upload.Limit) bool {
	return slices.ContainsFunc(limits, func(l upload.Limit) bool { return l.Window > 0 })
}

// allowed returns the limits that hold now: the grant's, the floor after the
// lease has ended, nothing before it has begun or while the engine is blocked.
func (e *Engine) allowed() []upload.Limit {
	if e.over || e.blockage.blocked || e.grant.Mode != v1alpha1.LeaseActive {
		return nil
	}
	switch e.lease.Phase(time.Now()) {
	case lease.Held:
		return granted(e.grant.Prefixes)
	case lease.Expired:
		return e.floor()
	default:
		return nil
	}
}

func granted(prefixes []v1alpha1.PrefixGrant) []upload.Limit {
	limits := make([]upload.Limit, 0, len(prefixes))
	for _, p := range prefixes {
		l := upload.Limit{Prefix: p.Name, Window: windowOf(p)}
		if p.MilliRequestsPerSecond != nil {
			l.Rate = float64(*p.MilliRequestsPerSecond) / 1000
		}
		limits = append(limits, l)
	}
	return limits
}

// limitsAs tells that two grants of one leader differ in archives at most.
func limitsAs(g, h v1alpha1.PrefixLeaseSpec) bool {
	return g.Epoch == h.Epoch && slices.Equal(granted(g.Prefixes), granted(h.Prefixes))
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
// elsewhere would be two.
func (e *Engine) floor() []upload.Limit {
	prefixes := slices.Clone(e.grant.Prefixes)
	rank := func(p v1alpha1.PrefixGrant) int {
		if p.Name == e.floorOn {
			return 2
		}
		return min(1, windowOf(p))
	}
	slices.SortStableFunc(prefixes, func(a, b v1alpha1.PrefixGrant) int { return cmp.Compare(rank(b), rank(a)) })
	for _, p := range prefixes {
		if l := e.lane(p.Name); slices.ContainsFunc(l.assigned, e.unfinished) {
			e.floorOn = p.Name
			return []upload.Limit{{Prefix: p.Name, Window: 1}}
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
func (e *Engine) room() bool { return len(e.finished)+len(e.attempts) < maxFinished }

// pump begins on a lane whatever may begin now.
func (e *Engine) pump(l *lane) {
	if l.limit == 0 || e.ctx == nil || e.ctx.Err() != nil {
		return
	}
	ahead := 0
	for _, as := range l.assigned {
		a := e.attempts[as.archiveID]
		if a == nil && ahead < archivesAhead && e.unfinished(as) && (e.members() < maxMembers || l.files == 0 && ahead == 0) {
			a = e.begin(as)
		}
		if a == nil || a.withdrawn {
			continue
		}
		// Only the most urgent archive sends; the one behind it is fetched meanwhile.
		if waits := ahead > 0 && a.stage == stageSend && a.unsent(); !waits {
			e.advance(l, a)
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

// starving says that everything assigned on the lane has begun to be sent.
func (e *Engine) starving(l *lane) bool {
	return !slices.ContainsFunc(l.assigned, func(as assignment) bool {
		a := e.attempts[as.archiveID]
		if a == nil {
			return e.unfinished(as)
		}
		return a.unsent()
	})
}
