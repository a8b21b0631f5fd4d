package worker

import (
	"slices"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// assignReserve takes over the reserve of a grant. What was begun of the one before goes on
// as long as a grant names it, be it as a reserve.
func (e *Engine) assignReserve(w *prefixWork, reserve string) {
	numbers, err := protocol.ParseRanges(reserve)
	if err != nil {
		e.options.Logger.Warn("reserve not understood", "prefix", w.name, "error", err.Error())
		return
	}
	w.reserve = numbers
	for id, a := range e.attempts {
		if id.prefix == w.name && a.reserved && !a.withdrawn && w.reserve.Remove(id.number) {
			w.assigned = slices.Insert(w.assigned, 0, a.assignment)
		}
	}
}

// takeReserved takes the next archive of the reserve, if nobody leads and there is one. It was
// granted to this worker alone before the manager went away.
func (e *Engine) takeReserved(w *prefixWork) bool {
	for coasts(e.lease.Phase(time.Now())) && e.room() {
		n, ok := w.reserve.First()
		if !ok {
			return false
		}
		w.reserve.Remove(n)
		if w.taken.Add(n) {
			w.assigned = append(w.assigned, assignment{archiveID: archiveID{w.name, n}, attempt: 1, reserved: true})
			return true
		}
	}
	return false
}
