package restore

import (
	"fmt"
	"slices"
	"strings"

	"cargoship.dev/operator/internal/prices"
)

// Offer is what a thawer would ask for, and what that costs.
type Offer struct {
	Frozen
	Tier string
	Days int
	// Cost in Currency, traffic and the requests of the restore itself not included.
	Cost     float64
	Currency string
}

// Offer prices what has to be thawed.
func (t *Thawer) Offer(f Frozen, table prices.Table) (Offer, error) {
	o := Offer{Frozen: f, Tier: t.request.Tier, Days: int(t.request.Days), Currency: table.Currency}
	for class, a := range f.Classes {
		cost, err := table.Thawing(class, o.Tier, a.Objects, a.Bytes, o.Days)
		if err != nil {
			return o, err
		}
		o.Cost += cost
	}
	return o, nil
}

// String is the offer in one line.
func (o Offer) String() string {
	text := "nothing has to be thawed"
	if len(o.Classes) > 0 {
		sum, classes := Amount{}, []string{}
		for class, a := range o.Classes {
			sum = Amount{sum.Objects + a.Objects, sum.Bytes + a.Bytes}
			classes = append(classes, class)
		}
		slices.Sort(classes)
		text = fmt.Sprintf("thaw %d objects, %s, of %s in tier %s for %d days: about %.2f %s at list prices, traffic not included",
			sum.Objects, size(sum.Bytes), strings.Join(classes, " and "), o.Tier, o.Days, prices.RoundUp(o.Cost), o.Currency)
	}
	if o.Thawing.Objects > 0 {
		text += fmt.Sprintf("; %d objects, %s, are being thawed already", o.Thawing.Objects, size(o.Thawing.Bytes))
	}
	return text
}

// size writes a number of bytes.
func size(bytes int64) string {
	if bytes < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}
