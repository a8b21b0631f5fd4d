package archive

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// filter chooses paths by glob patterns.
type filter struct {
	include, exclude []string
}

func newFilter(include, exclude []string) (filter, error) {
	var f filter
	var err error
	if f.include, err = cleanPatterns(include); err != nil {
		return f, fmt.Errorf("include: %w", err)
	}
	if f.exclude, err = cleanPatterns(exclude); err != nil {
		return f, fmt.Errorf("exclude: %w", err)
	}
	return f, nil
}

// CheckPatterns returns an error that names a pattern which WalkOptions could
// not take.
func CheckPatterns(include, exclude []string) error {
	_, err := newFilter(include, exclude)
	return err
}

// cleanPatterns makes patterns relative and lets dir/ mean dir.
func cleanPatterns(patterns []string) ([]string, error) {
	var clean []string
	for _, p := range patterns {
		c := strings.Trim(strings.TrimPrefix(p, "./"), "/")
		if c == "" || !doublestar.ValidatePattern(c) {
			return nil, fmt.Errorf("%q is not a valid glob pattern", p)
		}
		clean = append(clean, c)
	}
	return clean, nil
}

// excludes tells whether the path, and everything below it, is left out.
func (f filter) excludes(p string) bool { return matchAny(f.exclude, p) }

// includes tells whether the path, and everything below it, is included.
func (f filter) includes(p string) bool { return len(f.include) == 0 || matchAny(f.include, p) }

// takes says that a walk with the filter finds the path.
func (f filter) takes(p string) bool {
	included := f.includes(p)
	for {
		if f.excludes(p) {
			return false
		}
		at := strings.LastIndexByte(p, '/')
		if at < 0 {
			return included
		}
		p = p[:at]
		included = included || f.includes(p)
	}
}

// reaches says that something below a directory that isn't itself included may be.
func (f filter) reaches(dir string) bool {
	for _, p := range f.include {
		fixed, _ := doublestar.SplitPattern(p)
		if fixed == "." || within(fixed, dir) || within(dir, fixed) {
			return true
		}
	}
	return false
}

func matchAny(patterns []string, p string) bool {
	for _, pattern := range patterns {
		if doublestar.MatchUnvalidated(pattern, p) {
			return true
		}
	}
	return false
}
