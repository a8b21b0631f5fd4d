package restore

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"cargoship.dev/operator/internal/archive"
)

// ErrPattern says that a pattern is none.
var ErrPattern = errors.New("not a valid glob pattern, nor the path of an archived file")

// Resolve returns the selection with those patterns quoted that are the path of something the
// transfer has archived: such a path selects that file only.
// ErrPattern is about one that is neither.
func (c *Catalog) Resolve(ctx context.Context, s Selection) (Selection, error) {
	exact := map[string]bool{}
	for _, p := range s {
		if mayBePath(p) {
			exact[clean(p)] = false
		}
	}
	if err := c.find(ctx, exact); err != nil {
		return nil, err
	}
	resolved := make(Selection, len(s))
	for i, p := range s {
		switch {
		case exact[clean(p)]:
			resolved[i] = quote(clean(p))
		case !doublestar.ValidatePattern(clean(p)):
			return nil, fmt.Errorf("%q is %w", p, ErrPattern)
		default:
			resolved[i] = p
		}
	}
	return resolved, nil
}

// find marks the paths that were archived, directories that only hold files included.
func (c *Catalog) find(ctx context.Context, exact map[string]bool) error {
	left := len(exact)
	if left == 0 {
		return nil
	}
	if c.Index.Paths != nil {
		err := c.lookUp(ctx, exact)
		if !errors.As(err, new(*archive.PathIndexError)) {
			return err
		}
		c.warn(fmt.Sprintf("%v: reading all manifests instead", err))
	}
	for m, err := range c.Manifests(ctx) {
		if err != nil && !errors.As(err, new(*ManifestError)) {
			return err
		}
		for _, f := range m.Members {
			for p := f.Path; p != "." && p != "/" && p != ""; p = path.Dir(p) {
				if found, asked := exact[p]; asked && !found {
					exact[p] = true
					left--
				}
			}
		}
		if left == 0 {
			return nil
		}
	}
	return nil
}

// lookUp is find by the path index.
func (c *Catalog) lookUp(ctx context.Context, exact map[string]bool) error {
	paths := c.pathReader()
	for p := range exact {
		r := pathRange{p, true}
		for m, err := range paths.From(ctx, p, r.past) {
			if err != nil {
				return err
			}
			exact[p] = r.has(m.Path)
			break
		}
	}
	return nil
}

// special are the characters that a pattern gives a meaning.
const special = "*?[]{}\\"

// mayBePath says that a pattern has to be looked up as a path. A part that is * or ** is meant
// as a pattern.
func mayBePath(pattern string) bool {
	return slices.ContainsFunc(strings.Split(clean(pattern), "/"), func(part string) bool {
		return part != "*" && part != "**" && strings.ContainsAny(part, special)
	})
}

// quote returns the pattern that matches the path only.
func quote(p string) string {
	var out strings.Builder
	for _, b := range []byte(p) {
		if strings.IndexByte(special, b) >= 0 {
			out.WriteByte('\\')
		}
		out.WriteByte(b)
	}
	return out.String()
}

// leads says that something below a directory may be selected.
func (s Selection) leads(dir string) bool {
	return slices.ContainsFunc(s, func(pattern string) bool {
		if strings.ContainsRune(pattern, '{') {
			// An alternative may hold slashes.
			return true
		}
		parts := strings.Split(clean(pattern), "/")
		for i, name := range strings.Split(dir, "/") {
			switch {
			case i == len(parts):
				return false
			case parts[i] == "**":
				return true
			case !doublestar.MatchUnvalidated(parts[i], name):
				return false
			}
		}
		return true
	})
}
