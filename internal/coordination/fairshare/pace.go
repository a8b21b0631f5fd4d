package fairshare

// Group is a set of prefixes that share a rate, in requests per second.
type Group struct {
	Rate     float64
	Prefixes []*Prefix
}

// slowestPace is the lowest rate that a grant can hold, in requests per second.
const slowestPace = 0.001

// pace is a party's part of a group's rate.
type pace struct {
	window int     // granted
	rate   float64 // requests per second
}

// Pace divides the rates of the groups that have one over the parts with windows. The
// latency in seconds is that of a request on the path, 0 while that is unknown.
func (d *Divider) Pace(groups []Group, latency float64) {
	for _, t := range d.transfers {
		for _, l := range t.Prefixes {
			l.pace, l.paced = pace{}, false
		}
	}
	for _, g := range groups {
		for _, l := range g.Prefixes {
			l.paced = true
		}
	}
	d.parts = d.parts[:0]
	for _, t := range d.transfers {
		for _, w := range t.Workers {
			for _, part := range w.Parts {
				part.Rate = 0
				if part.Window > 0 && !t.Fixed && part.Prefix.paced {
					part.Prefix.pace.window += part.Window
					d.parts = append(d.parts, part)
				}
			}
		}
	}
	if len(d.parts) == 0 {
		return
	}
	for _, g := range groups {
		d.paceTransfers(g, latency)
	}
	for _, part := range d.parts {
		l := part.Prefix
		part.Rate = max(slowestPace, l.pace.rate*float64(part.Window)/float64(l.pace.window))
	}
}

// paceTransfers divides the rate of a group over tenants, over the transfers of each by
// weight, then over prefixes. No party is given more than its window can use: by Little's law
// window/latency requests per second, and half as many again for the scatter. The
// latency is the smaller of T₀ and the present one: either can be due to a few late
// responses, and a party that is granted too little sends too little to show it.
func (d *Divider) paceTransfers(g Group, latency float64) {
	usable := func(window int) float64 {
		if latency <= 0 && window > 0 {
			return Unlimited
		}
		return 1.5 * float64(window) / max(latency, 1e-9)
	}
	for _, t := range d.transfers {
		t.pace = pace{}
	}
	for _, l := range g.Prefixes {
		l.Transfer.pace.window += l.pace.window
	}
	d.paceTenants(g, usable)
	for _, x := range d.tenants {
		claims := d.allocator.claims[:0]
		for _, t := range x.transfers {
			claims = append(claims, claim{weight: float64(t.Weight), demand: usable(t.pace.window)})
		}
		d.allocator.claims = claims
		d.allocator.fill(x.pace.rate, claims)
		for i, t := range x.transfers {
			t.pace.rate = claims[i].fair
		}
		for _, t := range x.transfers {
			if t.pace.window > 0 {
				d.pacePrefixes(g, t, usable)
			}
		}
	}
}

// paceTenants divides the rate of a group over the tenants that have a part in it, as
// the window is divided.
func (d *Divider) paceTenants(g Group, usable func(window int) float64) {
	parts := 0
	for _, x := range d.tenants {
		x.pace = pace{}
		for _, t := range x.transfers {
			x.pace.window += t.pace.window
		}
		if x.pace.window > 0 {
			parts++
		}
	}
	claims := d.allocator.claims[:0]
	for _, x := range d.tenants {
		claims = append(claims, claim{weight: max(1, x.weight), demand: usable(x.pace.window)})
	}
	d.allocator.claims = claims
	if parts > 1 {
		d.allocator.fill(g.Rate, claims)
	}
	for i, x := range d.tenants {
		if x.pace.rate = claims[i].fair; parts == 1 {
			x.pace.rate = g.Rate
		}
	}
}

// pacePrefixes divides a transfer's part of the rate of a group over its prefixes.
func (d *Divider) pacePrefixes(g Group, t *Transfer, usable func(window int) float64) {
	claims := d.allocator.claims[:0]
	for _, l := range g.Prefixes {
		if l.Transfer != t {
			continue
		}
		weight := 1.0
		if t.Proportional {
			weight = float64(max(1, l.pace.window))
		}
		claims = append(claims, claim{weight: weight, demand: usable(l.pace.window)})
	}
	d.allocator.claims = claims
	d.allocator.fill(t.pace.rate, claims)
	i := 0
	for _, l := range g.Prefixes {
		if l.Transfer == t {
			l.pace.rate = claims[i].fair
			i++
		}
	}
}
