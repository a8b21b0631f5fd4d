package prices

import (
	"fmt"
	"math"
	"slices"
)

// Load is what a run stores.
type Load struct {
	// Objects and Bytes are those of files and archives, Requests what it takes to write them.
	Objects, Bytes, Requests int64
	// Bookkeeping counts objects of bookkeeping, of one request each. Their bytes are not counted.
	Bookkeeping int64
	// Lacking is by how many bytes the objects are smaller than a size that some class bills at
	// least, by that size.
	Lacking map[int64]int64
}

// Add adds an object to what is stored.
func (t Table) Add(l *Load, bytes, requests int64) {
	l.Objects++
	l.Bytes += bytes
	l.Requests += requests
	for n, c := range t.Classes {
		same := func(o Class) bool { return o.MinimumBytes == c.MinimumBytes }
		if c.MinimumBytes == 0 || slices.ContainsFunc(t.Classes[:n], same) {
			continue
		}
		if l.Lacking == nil {
			l.Lacking = map[int64]int64{}
		}
		l.Lacking[c.MinimumBytes] += max(0, c.MinimumBytes-bytes)
	}
}

// Covers tells whether a load, which was added up by another table perhaps, has all that the
// prices of this one depend on.
func (t Table) Covers(l Load) bool {
	for _, c := range t.Classes {
		if _, known := l.Lacking[c.MinimumBytes]; !known && c.MinimumBytes > 0 && l.Objects > 0 {
			return false
		}
	}
	return true
}

// Terms are how something is stored.
type Terms struct {
	// Months is how long it is kept.
	Months float64
	// KMS: it is encrypted with a key of the provider's key management; BucketKey: through a key
	// of the bucket.
	KMS, BucketKey bool
	// ThawDays is how long objects stay readable that a restore has thawed.
	ThawDays int
}

// Quote is what it costs to store a load in a class, in the table's currency.
type Quote struct {
	Class string `json:"class"`
	// Month is for storage, of which Overhead is for what the objects themselves do not hold:
	// minimum sizes and what the provider adds to each object.
	Month    float64 `json:"perMonth"`
	Overhead float64 `json:"overheadPerMonth"`
	// Requests and KMS are paid once.
	Requests float64 `json:"requestsOnce"`
	KMS      float64 `json:"kmsOnce"`
	// MinimumDays is what storage is billed for at least.
	MinimumDays int `json:"minimumDays"`
	// Total is what all that costs for the months of the terms, or the minimum if that is longer.
	Total float64 `json:"total"`
	// Restores are the ways to read all of it once, TransferOut what it costs in addition if
	// it leaves the provider's network.
	Restores    []Restore `json:"restores"`
	TransferOut float64   `json:"transferOut"`
}

// Restore is a way to read a load. Tier is "" if nothing has to be thawed.
type Restore struct {
	Tier string  `json:"tier,omitempty"`
	Cost float64 `json:"cost"`
}

// AtOnce tells whether what is stored can be read without a thaw.
func (q Quote) AtOnce() bool { return len(q.Restores) == 1 && q.Restores[0].Tier == "" }

// Quotes returns a quote for each class of the table.
func (t Table) Quotes(l Load, terms Terms) []Quote {
	var all []Quote
	for _, c := range t.Classes {
		all = append(all, t.quote(c, l, terms))
	}
	return all
}

// Quote returns the quote for a class, or an error if the table has none for it.
func (t Table) Quote(class string, l Load, terms Terms) (Quote, error) {
	c, found := t.class(class)
	if !found {
		return Quote{}, fmt.Errorf("price storage class %s: the price table of %s has no such class", class, t.Date)
	}
	return t.quote(c, l, terms), nil
}

func (t Table) quote(c Class, l Load, terms Terms) Quote {
	side, found := t.class(t.Bookkeeping)
	if !found {
		side = c
	}
	q := Quote{
		Class: c.Class, MinimumDays: c.MinimumDays,
		Overhead: gib(l.Lacking[c.MinimumBytes]+l.Objects*c.OverheadBytes)*c.GiBMonth + gib(l.Objects*c.IndexBytes)*side.GiBMonth,
		Requests: thousands(l.Requests)*c.Thousand + thousands(l.Bookkeeping)*side.Thousand,
		KMS:      t.kms(l.Requests+l.Bookkeeping, terms),
		Restores: t.restores(c, side, l, terms), TransferOut: gib(l.Bytes) * t.TransferOutGiB,
	}
	q.Month = gib(l.Bytes)*c.GiBMonth + q.Overhead
	q.Total = q.Requests + q.KMS + q.Month*max(terms.Months, float64(c.MinimumDays)/daysPerMonth)
	return q
}

// restores prices the ways to read a load once: with as many requests as wrote it, and those for
// its bookkeeping.
func (t Table) restores(c, side Class, l Load, terms Terms) []Restore {
	read := thousands(l.Requests)*c.Reads + thousands(l.Bookkeeping)*side.Reads + t.kms(l.Requests+l.Bookkeeping, terms)
	var ways []Restore
	for _, p := range t.Thaw {
		if p.Class == c.Class {
			ways = append(ways, Restore{p.Tier, read + p.cost(l.Objects, l.Bytes, terms.ThawDays)})
		}
	}
	if len(ways) == 0 {
		ways = append(ways, Restore{"", read + gib(l.Bytes)*c.RetrievalGiB})
	}
	return ways
}

// kms is what so many requests for encrypted objects cost.
func (t Table) kms(requests int64, terms Terms) float64 {
	cost := thousands(requests) * t.KMS.Thousand
	switch {
	case !terms.KMS:
		return 0
	case terms.BucketKey:
		return cost * t.KMS.BucketKeyShare
	default:
		return cost
	}
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }

func thousands(n int64) float64 { return float64(n) / 1000 }

// RoundUp returns a cost in whole hundredths, so that what costs something never seems free.
func RoundUp(cost float64) float64 { return math.Ceil(cost*100) / 100 }
