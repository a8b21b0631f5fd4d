package estimate

import (
	"cmp"
	"fmt"
	"slices"

	"cargoship.dev/operator/internal/prices"
)

// Way is a run, and what it costs in each storage class.
type Way struct {
	Run
	Costs []prices.Quote `json:"costs"`
}

// NewWay prices a run.
func NewWay(r Run, table prices.Table, terms prices.Terms) Way {
	return Way{r, table.Quotes(r.load, terms)}
}

// Choice is the cheapest way to store something.
type Choice struct {
	Packing string  `json:"packing"`
	Class   string  `json:"class"`
	Total   float64 `json:"total"`
	// AtOnce: it can be read without a thaw.
	AtOnce bool `json:"atOnce"`
	// Reasons say why it is the cheapest, and what it asks for in return.
	Reasons []string `json:"reasons"`
}

// offer is one quote of a way.
type offer struct {
	way   *Way
	quote *prices.Quote
}

// Cheapest returns the cheapest choice, and the cheapest that needs no thaw if that is another.
func Cheapest(ways []Way, currency string) []Choice {
	var all []offer
	for i := range ways {
		for k := range ways[i].Costs {
			all = append(all, offer{&ways[i], &ways[i].Costs[k]})
		}
	}
	slices.SortStableFunc(all, func(a, b offer) int { return cmp.Compare(a.quote.Total, b.quote.Total) })
	var choices []Choice
	for _, o := range all {
		if len(choices) == 0 || o.quote.AtOnce() {
			choices = append(choices, o.choose(all, currency))
		}
		if o.quote.AtOnce() {
			break
		}
	}
	return choices
}

func (o offer) choose(all []offer, currency string) Choice {
	c := Choice{Packing: o.way.Packing, Class: o.quote.Class, Total: o.quote.Total, AtOnce: o.quote.AtOnce()}
	for _, other := range all {
		if other.way != o.way && other.quote.Class == o.quote.Class {
			c.Reasons = append(c.Reasons, o.packed(other, currency))
		}
	}
	for _, other := range all {
		if other.way == o.way && other.quote.Class != o.quote.Class && other.quote.Total >= o.quote.Total {
			c.Reasons = append(c.Reasons, fmt.Sprintf("the next class for packing %s is %s with %s", o.way.Packing, other.quote.Class, money(other.quote.Total, currency)))
			break
		}
	}
	c.Reasons = append(c.Reasons, o.conditions(currency)...)
	return c
}

// packed compares with the other packing in the same class.
func (o offer) packed(other offer, currency string) string {
	return fmt.Sprintf("packing %s makes %d objects with %d requests and packing %s %d with %d: that is %s instead of %s once, and %s instead of %s a month for minimum sizes and overhead",
		o.way.Packing, o.way.Objects, o.way.Requests, other.way.Packing, other.way.Objects, other.way.Requests,
		money(o.quote.Requests+o.quote.KMS, currency), money(other.quote.Requests+other.quote.KMS, currency),
		money(o.quote.Overhead, currency), money(other.quote.Overhead, currency))
}

// conditions are what the class asks for in return.
func (o offer) conditions(currency string) []string {
	var text []string
	if o.quote.MinimumDays > 0 {
		text = append(text, fmt.Sprintf("storage is billed for at least %d days", o.quote.MinimumDays))
	}
	best := slices.MinFunc(o.quote.Restores, func(a, b prices.Restore) int { return cmp.Compare(a.Cost, b.Cost) })
	how := "without a thaw"
	if best.Tier != "" {
		how = "after a thaw in tier " + best.Tier
	}
	return append(text, fmt.Sprintf("to restore all of it once costs %s %s, and %s more if it leaves the provider's network",
		money(best.Cost, currency), how, money(o.quote.TransferOut, currency)))
}

// Amount writes an amount of money, such as 12.50, 0, or <0.01 for what is not quite nothing.
func Amount(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x < 0.01:
		return "<0.01"
	default:
		return fmt.Sprintf("%.2f", x)
	}
}

func money(amount float64, currency string) string { return Amount(amount) + " " + currency }
