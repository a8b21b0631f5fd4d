package fairshare

import (
	"slices"
	"sort"
	"time"

	"cargoship.dev/operator/internal/coordination/protocol"
)

// TurnIntervals is how many report intervals a transfer, prefix or worker keeps its
// slots where there are fewer slots than parties. A slot that moves is idle for
// one interval, until its withdrawal is acknowledged.
const TurnIntervals = 15

// Tenant is the owner of transfers. Windows and rates are divided over tenants first.
type Tenant struct {
	// Weight takes the place of those of its transfers, and Most of the window it has at most;
	// 0 for neither.
	Weight int
	Most   float64

	transfers []*Transfer // whose windows are controlled, in this tick
	weight    float64     // by the last tick
	window    int         // likewise
	since     time.Time   // of its last change between some slots and none
	pace      pace
}

// Transfer is one transfer's claim. The caller sets the exported fields except Window at
// each tick.
type Transfer struct {
	Tenant   *Tenant
	Weight   int
	Strategy protocol.Strategy
	// Proportional: its part of a rate goes to the prefixes in proportion to their windows.
	Proportional bool
	// BaseInterval is the interval between the reports of its workers while nothing asks for faster ones.
	BaseInterval time.Duration
	// Fixed: its windows are not controlled, but FixedWindow on FixedPrefixes per worker.
	Fixed                      bool
	FixedPrefixes, FixedWindow int
	Prefixes                   []*Prefix // by their index
	// Ready workers can be given something, Free ones archives as well.
	Workers, Ready, Free []*Worker

	// Window is what the last tick allocated.
	Window int
	since  time.Time // of its last change between some slots and none
	pace   pace
	demand int // slots known to be of use, in this tick
	limit  int // slots that can be held, in this tick
}

// NewTransfer gives a transfer that has none since now.
func NewTransfer(now time.Time) Transfer { return Transfer{since: now} }

// Prefix is one prefix of a transfer. The caller sets the exported fields except Window at
// each tick.
type Prefix struct {
	Transfer *Transfer
	Index    int
	// Active prefixes may hold a window. Queued counts the archives that no worker holds.
	Active bool
	Queued int
	// Slots is what its rate can use; Unlimited where it has none.
	Slots int
	// Efficiency is the part of a further slot's worth that becomes goodput, 0 while that
	// is unknown; OwnWindow what a TCP flow would have.
	Efficiency, OwnWindow float64

	// Window is what the last tick allocated.
	Window int
	since  time.Time // of its last change between some slots and none
	pace   pace
	paced  bool

	// eligible are the workers that hold archives of the prefix or can be given
	// one; open prefixes have archives for every free worker and list none.
	eligible []*Worker
	open     bool
	waiting  bool // some of those that hold archives have no window
	demand   int  // slots known to be of use
	limit    int  // slots that can be held
	need     int  // slots still to be placed
}

// Given is the prefix's part of its group's rate, in requests per second.
func (l *Prefix) Given() float64 { return l.pace.rate }

// Worker is one worker. Its Parts are ordered by the indices of their prefixes.
type Worker struct {
	Transfer *Transfer
	Parts    []*Part
	// Place is its place among the workers of the transfer, Capacity what it can have in
	// flight, Demand what it can use of that. Blocked, it can do nothing for now.
	Place            int
	Capacity, Demand int
	Blocked          bool
	// Accepts tells that it would take an archive of a prefix, Join makes its part of one.
	Accepts func(now time.Time, l *Prefix) bool
	Join    func(l *Prefix) *Part

	used    int       // slots given in this tick
	room    int       // slots still to be placed in this tick
	holding int       // prefixes of which it holds archives, or is to, in this tick
	serving bool      // it has slots
	since   time.Time // of its last change between some slots and none
}

// NewWorker gives a worker of a transfer that has no slots since now.
func NewWorker(now time.Time, t *Transfer) Worker {
	return Worker{Transfer: t, Demand: Unlimited, since: now}
}

// Part is one worker's part of one prefix.
type Part struct {
	Prefix *Prefix
	Worker *Worker
	// Held counts the archives that the worker holds there, Demand the slots that it can use.
	Held, Demand int

	// Target is what the last tick wants it to have, Window what is granted, and Rate in
	// requests per second, 0 for none.
	Target, Window int
	Rate           float64
	since          time.Time // of its last change between some slots and none
}

// Waits tells that the worker holds archives of the prefix and has no window there.
func (c *Part) Waits() bool { return c.Held > 0 && c.Window == 0 }

// part finds the worker's part of a prefix, or nil.
func (w *Worker) part(l *Prefix) *Part {
	i := sort.Search(len(w.Parts), func(i int) bool { return w.Parts[i].Prefix.Index >= l.Index })
	if i < len(w.Parts) && w.Parts[i].Prefix == l {
		return w.Parts[i]
	}
	return nil
}

// ensure finds or makes it.
func (w *Worker) ensure(l *Prefix) *Part {
	if part := w.part(l); part != nil {
		return part
	}
	return w.Join(l)
}

// Insert puts a part in its place among those of its worker.
func (w *Worker) Insert(i int, part *Part) { w.Parts = slices.Insert(w.Parts, i, part) }

// Divider divides windows and rates. It holds scratch memory, and whom it divides over.
type Divider struct {
	allocator allocator
	tenants   []*Tenant
	transfers []*Transfer
	prefixes  []*Prefix
	parts     []*Part
}

// Divide sets the target of every part, of all tenants and transfers: the window is
// divided over tenants, transfers, prefixes, workers.
func (d *Divider) Divide(now time.Time, tenants []*Tenant, transfers []*Transfer, window int) {
	d.tenants, d.transfers = tenants, transfers
	for _, x := range tenants {
		x.transfers = x.transfers[:0]
	}
	for _, t := range transfers {
		for _, w := range t.Workers {
			w.used, w.room = 0, 0
			for _, part := range w.Parts {
				part.Target = 0
			}
		}
		t.estimate(now)
		if t.Fixed {
			t.fixWindows()
			continue
		}
		t.Tenant.transfers = append(t.Tenant.transfers, t)
	}
	d.divideTenants(now, window)
	// The claims are scratch of the levels below.
	for _, x := range tenants {
		d.divideTransfers(now, x)
	}
	for _, t := range transfers {
		if !t.Fixed {
			d.distributeTransfer(now, t)
		}
	}
}
