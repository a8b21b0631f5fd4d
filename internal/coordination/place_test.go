package coordination

import (
	"time"

	"cargoship.dev/operator/internal/coordination/congestion"
	"cargoship.dev/operator/internal/coordination/protocol"
)

// What follows has the controller of a fixture go on as one that took over from a leader
// whose record says what a test needs.

// restore takes over the present record, changed.
func (f *fixture) restore(change func(path *protocol.PathSnapshot), groups ...protocol.GroupSnapshot) {
	f.t.Helper()
	path, _ := f.c.control.Snapshot()
	change(path)
	must(f.t, f.c.control.Restore(f.now, protocol.Snapshot{Epoch: 1, Path: path, Groups: groups}))
}

// resize sets the window.
func (f *fixture) resize(window int) {
	f.t.Helper()
	f.restore(func(path *protocol.PathSnapshot) { path.Window = window })
}

// settle sets a window that was judged well, in congestion avoidance.
func (f *fixture) settle(window int) {
	f.t.Helper()
	f.restore(func(path *protocol.PathSnapshot) {
		path.Window, path.GoodWindow, path.State = window, window, protocol.CongestionAvoidance
	})
}

// path sets the base latency, and the present one by a round in which a single request was
// accepted.
func (f *fixture) path(base, latency time.Duration) {
	f.t.Helper()
	f.restore(func(path *protocol.PathSnapshot) {
		path.Profile.BaseLatency, path.Profile.SizeClass = base, 0
	})
	f.c.control.Round(f.now, congestion.Signal{
		Started: 1, Accepted: 1, Bytes: 1, Completions: 1, Latency: latency, SenderLimited: true,
	})
}

// pace gives the group that all prefixes begin in a rate.
func (f *fixture) pace(rate float64) {
	f.t.Helper()
	f.restore(func(*protocol.PathSnapshot) {}, protocol.GroupSnapshot{Name: congestion.GroupName, State: protocol.CongestionAvoidance, Rate: rate})
}

// part gives a prefix a group of its own, with a rate.
func (f *fixture) part(transfer protocol.TransferID, prefix string, rate float64) {
	f.t.Helper()
	l := f.c.transfer(transfer).byName[prefix]
	f.restore(func(*protocol.PathSnapshot) {},
		protocol.GroupSnapshot{Name: congestion.GroupName, State: protocol.CongestionAvoidance},
		protocol.GroupSnapshot{State: protocol.CongestionAvoidance, Rate: rate, Members: []protocol.Member{l.member.ID}})
	f.c.control.Admit(l.member)
}
