package policy

import (
	"cmp"
	"slices"
	"strings"

	"cargoship.dev/operator/internal/endpoint"
)

// Match says which destinations a policy governs: all whose endpoint and bucket are these,
// where an empty one matches any.
type Match struct{ Endpoint, Bucket string }

// Matches tells whether a destination, by the name of its domain, is one of them.
func (m Match) Matches(domain string) bool {
	slash := strings.LastIndexByte(domain, '/')
	server, bucket := domain[:max(slash, 0)], domain[slash+1:]
	if m.Bucket != "" && m.Bucket != bucket {
		return false
	}
	region, _ := strings.CutPrefix(server, "aws:")
	return m.Endpoint == "" || endpoint.Domain(m.Endpoint, region, bucket) == domain
}

// specificity orders matches: whoever names a bucket is more specific than who names an
// endpoint alone.
func (m Match) specificity() int {
	n := 0
	if m.Endpoint != "" {
		n++
	}
	if m.Bucket != "" {
		n += 2
	}
	return n
}

// Named is a policy by its name.
type Named struct {
	Name string
	Match
	// QuotaKey is common to the destinations that are controlled as one; "" stands for none.
	QuotaKey string
}

// Choose gives the policies that govern a destination as the most specific ones, by name. Where
// that are several, they contradict each other.
func Choose(domain string, policies []Named) []Named {
	var chosen []Named
	for _, p := range policies {
		if !p.Matches(domain) {
			continue
		}
		switch {
		case len(chosen) == 0 || p.specificity() > chosen[0].specificity():
			chosen = []Named{p}
		case p.specificity() == chosen[0].specificity():
			chosen = append(chosen, p)
		}
	}
	slices.SortFunc(chosen, func(a, b Named) int { return cmp.Compare(a.Name, b.Name) })
	return chosen
}

// QuotaKey is that of a destination by the policies that Choose gives for it: the first that has
// one counts.
func QuotaKey(chosen []Named) string {
	for _, p := range chosen {
		if p.QuotaKey != "" {
			return p.QuotaKey
		}
	}
	return ""
}

// Canonical is the same for matches of the same destinations, however their endpoints are
// written, as far as URLs tell.
func (m Match) Canonical() Match {
	if m.Endpoint != "" {
		m.Endpoint = endpoint.Domain(m.Endpoint, "any", m.Bucket)
	}
	return m
}
