package restore

import (
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRanges(t *testing.T) {
	for _, tc := range []struct {
		selection Selection
		want      []pathRange
	}{
		{Selection{"a/b"}, []pathRange{{"a/b", true}}},
		{Selection{"./a/b/"}, []pathRange{{"a/b", true}}},
		{Selection{`a\*b`}, []pathRange{{"a*b", true}}},
		{Selection{"a/b*"}, []pathRange{{"a/b", false}}},
		{Selection{"a/**/c"}, []pathRange{{"a", true}}},
		{Selection{"a/b/**"}, []pathRange{{"a/b", true}}},
		{Selection{"b", "a", "a/c", "a*"}, []pathRange{{"a", false}, {"b", true}}},
		{Selection{"a", "a-b", "a/b"}, []pathRange{{"a", true}, {"a-b", true}}},
		{Selection{"a", "*"}, nil},
		{Selection{"{a,b}/c"}, nil},
		{nil, nil},
	} {
		got, fixed := tc.selection.ranges()
		if fixed != (tc.want != nil) {
			t.Errorf("%q: %v", tc.selection, fixed)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(pathRange{})); fixed && diff != "" {
			t.Errorf("%q (-want +got):\n%s", tc.selection, diff)
		}
	}
}

// TestRangesHaveAllThatIsTaken draws patterns and paths of few characters.
func TestRangesHaveAllThatIsTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patterns := rapid.StringMatching(`[ab/*?\\\[\]{},-]{1,6}|[ab]{1,2}(/[ab*]|/\*\*|/a\{,/\*\*\}){1,2}`).
			Filter(func(p string) bool { return doublestar.ValidatePattern(clean(p)) })
		selection := Selection(rapid.SliceOfN(patterns, 1, 4).Draw(t, "patterns"))
		ranges, fixed := selection.ranges()
		if !fixed {
			return
		}
		for range 20 {
			p := rapid.StringMatching(`[ab*,\]-]{1,3}(/[ab*,\]-]{1,3}){0,2}`).Draw(t, "path")
			in := 0
			for _, r := range ranges {
				if r.has(p) {
					in++
				}
				if r.has(p) && r.past(p) {
					t.Fatalf("%q is in %+v and past it", p, r)
				}
			}
			if in > 1 || in == 0 && selection.Takes(p) {
				t.Fatalf("%q: %q is in %d of %+v", selection, p, in, ranges)
			}
		}
	})
}
