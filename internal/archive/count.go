package archive

import (
	"context"
	"fmt"
	"iter"
)

// Count is a number of files and the sum of their sizes. An entry that is never to be
// sent counts as a file of no bytes, so that what is done, failed and skipped adds up to
// what was planned.
type Count struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Plus returns the sum of two counts.
func (c Count) Plus(o Count) Count { return Count{c.Files + o.Files, c.Bytes + o.Bytes} }

// String writes files and bytes as flags take them.
func (c Count) String() string { return fmt.Sprintf("%d/%d", c.Files, c.Bytes) }

// Tally counts members by their outcome.
type Tally struct {
	Done    Count `json:"done"`
	Failed  Count `json:"failed"`
	Skipped Count `json:"skipped"`
}

// Add counts a member.
func (t *Tally) Add(m Member) {
	one := Count{1, m.Size}
	switch m.Outcome {
	case Done:
		t.Done = t.Done.Plus(one)
	case Skipped:
		t.Skipped = t.Skipped.Plus(one)
	default:
		t.Failed = t.Failed.Plus(one)
	}
}

// Plus returns the sum of two tallies.
func (t Tally) Plus(o Tally) Tally {
	return Tally{t.Done.Plus(o.Done), t.Failed.Plus(o.Failed), t.Skipped.Plus(o.Skipped)}
}

// Total sums up the members of all outcomes.
func (t Tally) Total() Count { return t.Done.Plus(t.Failed).Plus(t.Skipped) }

// Tally counts the members of the manifest.
func (m Manifest) Tally() (t Tally) {
	for _, f := range m.Members {
		t.Add(f)
	}
	return t
}

// Lost returns the manifest of an archive that nothing was sent of, for the reason given.
func Lost(l Layout, a Archive, reason, message string) Manifest {
	m := Manifest{Transfer: l.UID, Prefix: a.Prefix, Number: a.Number, Attempt: 1}
	for _, e := range a.Entries {
		f := e.Member()
		if e.Sendable() {
			f.Outcome, f.Reason, f.Message = Failed, reason, message
		}
		m.Members = append(m.Members, f)
	}
	return m
}

// Member returns the entry as a member of a manifest, without an outcome
// if the entry is to be sent.
func (e Entry) Member() Member {
	m := Member{
		Path: e.Path, Size: e.Size, Mode: e.Mode, ModTime: e.ModTime,
		Kind: e.Kind, Link: e.Link, UID: e.UID, GID: e.GID,
	}
	switch {
	case e.Skipped != "":
		m.Outcome, m.Reason, m.Size = Skipped, e.Skipped, 0
	case e.Failed != "":
		m.Outcome, m.Reason, m.Size = Failed, e.Failed, 0
	}
	return m
}

// Listed is how much an archive of the inventory holds.
type Listed struct {
	Number int64
	Count
}

// Listed returns how much each archive of a prefix holds, by number. It ends with the
// first error; an inventory with a gap is one.
func (i *Inventory) Listed(ctx context.Context, prefix string) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		index := i.layout.Index(prefix)
		firsts, err := listShards(ctx, i.store, i.layout, index)
		var next int64
		for _, first := range firsts {
			var s *shard
			if s, err = readShard(ctx, i.store, i.layout, index, first); err != nil {
				break
			}
			if first != next {
				err = fmt.Errorf("inventory of prefix %q: archives %d to %d are not listed", prefix, next, first-1)
				break
			}
			for k, a := range s.header.Archives {
				if !yield(Listed{first + int64(k), Count{a.Files, a.Bytes}}, nil) {
					return
				}
			}
			next = s.next()
		}
		if err != nil {
			yield(Listed{}, err)
		}
	}
}
