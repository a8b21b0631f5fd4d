package restore

import (
	"slices"
	"strings"

	"cargoship.dev/operator/internal/archive"
)

// pathRange is where everything is that a pattern can match: paths that follow each other in the
// order of archive.ComparePaths.
type pathRange struct {
	// begin is what they begin with. It may end within a name, unless whole.
	begin string
	// whole: begin is a path, and only that and what is below it are in the range.
	whole bool
}

// has says that a path is in the range.
func (r pathRange) has(p string) bool {
	return strings.HasPrefix(p, r.begin) && (!r.whole || len(p) == len(r.begin) || p[len(r.begin)] == '/')
}

// past says that a path comes after all of the range.
func (r pathRange) past(p string) bool { return !r.has(p) && archive.ComparePaths(p, r.begin) > 0 }

// ranges returns where everything is that a selection can take, in order and none of it twice;
// false if a pattern has no fixed beginning.
func (s Selection) ranges() ([]pathRange, bool) {
	var all []pathRange
	for _, pattern := range s {
		begin, whole := fixedBeginning(clean(pattern))
		if dir, below := strings.CutSuffix(begin, "/"); below {
			begin, whole = dir, true // a/** matches a itself.
		}
		if begin == "" {
			return nil, false
		}
		all = append(all, pathRange{begin, whole})
	}
	slices.SortFunc(all, func(a, b pathRange) int {
		if order := archive.ComparePaths(a.begin, b.begin); order != 0 || a.whole == b.whole {
			return order
		}
		if a.whole {
			return 1
		}
		return -1
	})
	var apart []pathRange
	for _, r := range all {
		// One that begins within another is part of it.
		if n := len(apart); n == 0 || !apart[n-1].has(r.begin) {
			apart = append(apart, r)
		}
	}
	return apart, len(apart) > 0
}

// fixedBeginning returns what all paths that a pattern matches begin with, and whether that is all
// of the pattern.
func fixedBeginning(pattern string) (begin string, whole bool) {
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*', '?', '[', '{':
			return out.String(), false
		case '\\':
			if i++; i == len(pattern) {
				return out.String(), false
			}
		}
		out.WriteByte(pattern[i])
	}
	return out.String(), true
}
