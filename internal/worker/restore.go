package worker

// beginRestore starts to restore an archive, as far as its prefix has room: each takes one
// place, since it reads one object after the other.
func (e *Engine) beginRestore(w *prefixWork, a *attempt) {
	if w.files >= w.limit {
		return
	}
	a.stage = stageRestore
	e.launch(w, a, 1, e.restore)
}

// restore restores an archive.
func (e *Engine) restore(a *attempt) func() {
	members, err := e.options.Restore(a.ctx, a.prefix, a.number)
	return func() {
		if err != nil {
			a.stage = stageOpen // again, should the error block
			e.fail(a, "restore archive", err)
			return
		}
		e.blockage.cleared()
		a.members = members
		e.finish(a)
	}
}
