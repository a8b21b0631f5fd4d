package fairshare

// fixWindows sets the windows of uncoordinated work: as many on each of a few
// prefixes per worker, prefixes in hand first.
func (t *Transfer) fixWindows() {
	t.Window = 0
	for _, l := range t.Prefixes {
		l.Window = 0
	}
	for _, w := range t.Ready {
		free := t.FixedPrefixes
		for _, wanted := range []bool{true, false} {
			for i := range t.Prefixes {
				// Workers start at different prefixes, so that every prefix is worked on.
				l := t.Prefixes[(i+w.Place*max(1, t.FixedPrefixes))%len(t.Prefixes)]
				part := w.part(l)
				has := part != nil && part.Held > 0
				if free == 0 || !l.Active || has != wanted || !has && (l.Queued == 0 || w.Blocked) {
					continue
				}
				w.ensure(l).fix(t.FixedWindow)
				free--
			}
		}
	}
}

func (c *Part) fix(window int) {
	if c.Worker.Blocked {
		window = 1
	}
	c.Target = max(0, min(window, c.Worker.Capacity-c.Worker.used))
	c.Worker.used += c.Target
	c.Prefix.Window += c.Target
	c.Worker.Transfer.Window += c.Target
}
