package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/prices"
	"cargoship.dev/operator/internal/upload"
)

// tally sums up the members of a run. Those of a prefix come archive by archive.
type tally struct {
	terms    Terms
	load     prices.Load
	kept     archive.Count
	reasons  map[Reason]int64
	prefixes map[string]*prefixTally
	// failed takes each file that failed.
	failed func(Failure)
}

// prefixTally sums up a prefix.
type prefixTally struct {
	archive.Tally
	// archives counts those seen, of which last is the number of the last.
	archives, last int64
}

func newTally(terms Terms) *tally {
	return &tally{terms: terms, reasons: map[Reason]int64{}, prefixes: map[string]*prefixTally{}}
}

// add takes in a member.
func (t *tally) add(f archive.PathMember) {
	p := t.prefixes[f.Prefix]
	if p == nil {
		p = &prefixTally{last: -1}
		t.prefixes[f.Prefix] = p
	}
	if f.Number != p.last {
		p.last = f.Number
		p.archives++
		t.load.Bookkeeping++
		if f.Object != nil {
			t.object(f.Object.Size)
		}
	}
	p.Add(f.Member)
	if f.Kept {
		t.kept = t.kept.Plus(archive.Count{Files: 1, Bytes: f.Size})
	}
	switch {
	case f.Outcome == archive.Done:
		if f.Tar == nil && f.Key != "" {
			t.object(f.Size)
		}
		return
	case f.Outcome != archive.Skipped:
		t.failed(failureOf(f))
	}
	t.reasons[Reason{Outcome: f.Outcome, Reason: f.Reason}]++
}

func (t *tally) object(size int64) {
	t.terms.Table.Add(&t.load, size, upload.Requests(size))
}

func failureOf(f archive.PathMember) Failure {
	x := Failure{Path: f.Path, Prefix: f.Prefix, Archive: f.Number, Size: f.Size, Reason: f.Reason, Message: f.Message}
	if !utf8.ValidString(f.Path) {
		x.Path, x.PathBase64 = strings.ToValidUTF8(f.Path, "\ufffd"), []byte(f.Path)
	}
	return x
}

// end adds up and sorts. The report has neither failures nor costs yet.
func (t *tally) end(i archive.Index) Report {
	r := headOf(i)
	for _, p := range i.Prefixes {
		x := Prefix{Name: p.Name, Archives: p.Archives}
		if found := t.prefixes[p.Name]; found != nil {
			x.Done, x.Failed, x.Skipped = found.Done, found.Failed, found.Skipped
		}
		r.count(p, x)
	}
	for _, reason := range slices.SortedFunc(maps.Keys(t.reasons), func(a, b Reason) int {
		return cmp.Or(cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Reason, b.Reason))
	}) {
		reason.Files = t.reasons[reason]
		r.Reasons = append(r.Reasons, reason)
	}
	r.Kept, r.Stored = t.kept, Stored{t.load.Objects, t.load.Bytes}
	r.Billed = &Billed{
		Class: t.terms.Class, KMS: t.terms.KMS, BucketKey: t.terms.BucketKey,
		Requests: t.load.Requests, Bookkeeping: t.load.Bookkeeping, Lacking: t.load.Lacking,
	}
	return r
}

// count adds a prefix.
func (r *Report) count(p archive.IndexedPrefix, x Prefix) {
	r.Planned = r.Planned.Plus(archive.Count{Files: p.Files, Bytes: p.Bytes})
	r.Done, r.Failed, r.Skipped = r.Done.Plus(x.Done), r.Failed.Plus(x.Failed), r.Skipped.Plus(x.Skipped)
	r.Prefixes = append(r.Prefixes, x)
}

// whole tells whether all members of a run were taken in.
func (t *tally) whole(i archive.Index) bool {
	return !slices.ContainsFunc(i.Prefixes, func(p archive.IndexedPrefix) bool {
		found := t.prefixes[p.Name]
		if found == nil {
			return p.Archives > 0
		}
		return found.archives != p.Archives || p.Outcomes == nil || found.Tally != *p.Outcomes
	})
}

// price says what it costs to store what is billed.
func (r *Report) price(terms Terms) error {
	b := r.Billed
	load := prices.Load{
		Objects: r.Stored.Objects, Bytes: r.Stored.Bytes, Requests: b.Requests, Bookkeeping: b.Bookkeeping, Lacking: b.Lacking,
	}
	quote, err := terms.Table.Quote(cmp.Or(terms.Class, b.Class, terms.Table.Bookkeeping), load, terms.Terms)
	if err != nil {
		return err
	}
	r.Costs = &Costs{terms.Table.Currency, terms.Table.Date, terms.Months, quote}
	return nil
}
