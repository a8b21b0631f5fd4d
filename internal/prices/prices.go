// Package prices says what storage costs, by a table of list prices or one of the user's own.
package prices

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// defaults are list prices of Amazon S3. The file says of when they are, where they come from and
// which of them no dated source confirms.
//
//go:embed prices.json
var defaults []byte

// Table is what storage costs, in one currency.
type Table struct {
	Currency string `json:"currency"`
	// Date is of when the prices are, as 2026-06-05; Of is what they are the prices of.
	Date string `json:"date,omitempty"`
	Of   string `json:"of,omitempty"`
	// Sources says where the prices come from, Unconfirmed which of them are not certain.
	Sources     []Source `json:"sources,omitempty"`
	Unconfirmed []string `json:"unconfirmed,omitempty"`
	// Bookkeeping is the class of bookkeeping objects, which is the bucket's default; if it is
	// not in the table, they are priced as the files' objects are.
	Bookkeeping string  `json:"bookkeeping,omitempty"`
	Classes     []Class `json:"classes"`
	// Thaw is what it costs to have archived objects made readable.
	Thaw []Thaw `json:"thaw,omitempty"`
	KMS  KMS    `json:"kms,omitzero"`
	// TransferOutGiB is for one GiB that leaves the provider's network.
	TransferOutGiB float64 `json:"transferOutGib,omitempty"`
}

// Source is where some of the prices come from. Date is "" for a page without one.
type Source struct {
	Of   string `json:"of"`
	From string `json:"from"`
	Date string `json:"date,omitempty"`
}

// Class is what a storage class costs.
type Class struct {
	Class string `json:"class"`
	// GiBMonth is for one GiB stored for a month, Thousand for 1,000 requests that write, and
	// Reads for 1,000 that read.
	GiBMonth float64 `json:"gibMonth"`
	Thousand float64 `json:"thousandRequests"`
	Reads    float64 `json:"thousandReads,omitempty"`
	// RetrievalGiB is for one GiB read from a class that needs no thaw.
	RetrievalGiB float64 `json:"retrievalGib,omitempty"`
	// MinimumBytes is the size that a smaller object is billed as, MinimumDays the time that an
	// object is billed for if it is deleted earlier.
	MinimumBytes int64 `json:"minimumBytes,omitempty"`
	MinimumDays  int   `json:"minimumDays,omitempty"`
	// OverheadBytes is billed in addition for each object, at the price of the class, and
	// IndexBytes at that of the class of bookkeeping objects.
	OverheadBytes int64 `json:"overheadBytes,omitempty"`
	IndexBytes    int64 `json:"indexBytes,omitempty"`
}

// negative tells whether any figure is below 0.
func (c Class) negative() bool {
	return min(c.GiBMonth, c.Thousand, c.Reads, c.RetrievalGiB) < 0 ||
		min(c.MinimumBytes, int64(c.MinimumDays), c.OverheadBytes, c.IndexBytes) < 0
}

// KMS is what it costs to encrypt with a key of the provider's key management.
type KMS struct {
	Thousand float64 `json:"thousandRequests"`
	// BucketKeyShare is the part of these requests that remains with a bucket key.
	BucketKeyShare float64 `json:"bucketKeyShare"`
}

// Thaw is what it costs to have objects of a class made readable in a retrieval tier.
type Thaw struct {
	Class string `json:"class"`
	Tier  string `json:"tier"`
	// GiB is for one GiB retrieved, Thousand for 1,000 objects, CopyGiBMonth for one GiB of
	// the readable copies kept for a month.
	GiB          float64 `json:"gib"`
	Thousand     float64 `json:"thousandRequests"`
	CopyGiBMonth float64 `json:"copyGibMonth"`
}

// daysPerMonth is the month that prices of storage are for.
const daysPerMonth = 30

// Default returns the table of list prices.
func Default() (Table, error) { return decode("of list prices", defaults) }

// Read reads a table from a file; "" is Default.
func Read(file string) (Table, error) {
	if file == "" {
		return Default()
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return Table{}, fmt.Errorf("read the price table: %w", err)
	}
	return decode(file, data)
}

func decode(name string, data []byte) (Table, error) {
	var t Table
	if err := json.Unmarshal(data, &t); err != nil {
		return t, fmt.Errorf("read the price table %s: %w", name, err)
	}
	for _, p := range t.Classes {
		if p.Class == "" || p.negative() {
			return t, fmt.Errorf("price table %s: every class needs a name and non-negative prices, sizes and days", name)
		}
	}
	if min(t.KMS.Thousand, t.KMS.BucketKeyShare, t.TransferOutGiB) < 0 {
		return t, fmt.Errorf("price table %s: kms and transferOutGib must not be negative", name)
	}
	for _, p := range t.Thaw {
		if p.Class == "" || p.Tier == "" || p.GiB < 0 || p.Thousand < 0 || p.CopyGiBMonth < 0 {
			return t, fmt.Errorf("price table %s: every entry of thaw needs class, tier and non-negative prices", name)
		}
	}
	return t, nil
}

// class returns a class by its name.
func (t Table) class(name string) (Class, bool) {
	at := slices.IndexFunc(t.Classes, func(c Class) bool { return c.Class == name })
	if at < 0 {
		return Class{}, false
	}
	return t.Classes[at], true
}

// Thawing returns what it costs to have objects of a class made readable for some days.
func (t Table) Thawing(class, tier string, objects, bytes int64, days int) (float64, error) {
	at := slices.IndexFunc(t.Thaw, func(p Thaw) bool { return p.Class == class && p.Tier == tier })
	if at < 0 {
		return 0, fmt.Errorf("the price table has no tier %s of class %s to thaw in; it has %s", tier, class, t.tiers(class))
	}
	return t.Thaw[at].cost(objects, bytes, days), nil
}

// cost is that of thawing objects for some days.
func (p Thaw) cost(objects, bytes int64, days int) float64 {
	return gib(bytes)*(p.GiB+p.CopyGiBMonth*float64(days)/daysPerMonth) + thousands(objects)*p.Thousand
}

// tiers names those of a class.
func (t Table) tiers(class string) string {
	var names []string
	for _, p := range t.Thaw {
		if p.Class == class {
			names = append(names, p.Tier)
		}
	}
	if len(names) == 0 {
		return "none of that class"
	}
	return strings.Join(names, " and ")
}
