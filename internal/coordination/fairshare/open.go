package fairshare

import "time"

// placeOpen divides the slots of the open prefixes over the free workers, then matches
// prefixes with workers so that as little as possible moves.
func (d *Divider) placeOpen(now time.Time, t *Transfer, prefixes []*Prefix) {
	need := 0
	for _, l := range prefixes {
		if l.open {
			need += l.need
		}
	}
	if need <= 0 {
		return
	}
	claims := d.allocator.claims[:0]
	for _, w := range t.Free {
		current, limit := 0, w.Capacity-w.used
		for _, part := range w.Parts {
			if part.Prefix.open {
				current += part.Window
			}
		}
		claims = append(claims, w.claim(now, w.Demand-w.used, limit, current))
	}
	d.allocator.claims = claims
	d.allocator.divide(need, claims)
	for i, w := range t.Free {
		w.room = claims[i].share
	}
	t.match(prefixes)
}

// match places the open prefixes' needs into the workers' rooms: one slot for each
// prefix whose archives a worker holds, then what it has, then more of that, then
// anywhere.
func (t *Transfer) match(prefixes []*Prefix) {
	t.eachOpen(func(part *Part) int { return min(1, part.Held) })
	t.eachOpen(func(part *Part) int { return part.Window - part.Target })
	t.eachOpen(func(part *Part) int { return min(1, part.Window) * Unlimited })
	next := 0
	for _, l := range prefixes {
		for l.open && l.need > 0 && next < len(t.Free) {
			if w := t.Free[next]; w.room > 0 {
				w.ensure(l).place(l.need)
			} else {
				next++
			}
		}
	}
}

// eachOpen places up to wanted slots into each part of an open prefix.
func (t *Transfer) eachOpen(wanted func(*Part) int) {
	for _, w := range t.Free {
		for _, part := range w.Parts {
			if w.room == 0 {
				break
			}
			if s := part.Prefix; s.open && s.need > 0 {
				part.place(wanted(part))
			}
		}
	}
}

// place moves slots from the prefix's need and the worker's room into the part.
func (c *Part) place(slots int) {
	slots = max(0, min(slots, c.Prefix.need, c.Worker.room))
	c.Target += slots
	c.Worker.room -= slots
	c.Worker.used += slots
	c.Prefix.need -= slots
}
