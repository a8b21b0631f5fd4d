package archive

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMerge(t *testing.T) {
	const (
		lost = iota
		own
		packed
	)
	// made makes a manifest of members a, b and c that were lost, are objects of their
	// own, or are in the tar of that key.
	made := func(tar string, how ...int) Manifest {
		m := Manifest{Transfer: "uid", Prefix: "p", Number: 3, Members: make([]Member, len(how))}
		for i, h := range how {
			f := Member{Path: string(rune('a' + i)), Outcome: Done, ETag: tar}
			switch h {
			case lost:
				f.Outcome, f.Reason = Failed, "Timeout"
			case own:
				f.Key = f.Path
			case packed:
				f.Tar = &Place{}
				m.Object = &Object{Key: "tar", ETag: tar}
			}
			m.Members[i] = f
		}
		return m
	}
	changed := func(m Manifest, change func(*Manifest)) Manifest {
		change(&m)
		return m
	}
	for name, tc := range map[string]struct{ this, other, want Manifest }{
		"the later is worse":      {made("", own, lost, lost), made("", own, own, lost), made("", own, own, lost)},
		"the later is better":     {made("", own, own, own), made("", lost, own, lost), made("", own, own, own)},
		"each has another":        {made("", own, lost, lost), made("", lost, own, lost), made("", own, own, lost)},
		"no tar of its own":       {made("2", lost, lost, own), made("2", packed, packed, lost), made("2", packed, packed, own)},
		"a tar of its own":        {made("2", packed, lost, own), made("1", packed, packed, lost), made("2", packed, lost, own)},
		"a tar and a file beside": {made("2", packed, packed, lost), made("2", lost, lost, own), made("2", packed, packed, own)},
		"another transfer": {
			made("", lost), changed(made("", own), func(m *Manifest) { m.Transfer = "other" }), made("", lost),
		},
		"another archive": {made("", lost), changed(made("", own), func(m *Manifest) { m.Number++ }), made("", lost)},
		"another plan":    {made("", lost), changed(made("", own), func(m *Manifest) { m.Members[0].Path = "x" }), made("", lost)},
		"members less":    {made("", lost, lost), made("", own), made("", lost, lost)},
	} {
		t.Run(name, func(t *testing.T) {
			before := cmp.Diff(tc.this, Manifest{})
			got := tc.this.Merge(tc.other)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("merged (-want +got):\n%s", diff)
			}
			if cmp.Diff(tc.this, Manifest{}) != before {
				t.Error("Merge has changed what it was called on")
			}
		})
	}
}
