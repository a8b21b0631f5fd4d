package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/prices"
	"cargoship.dev/operator/internal/restore"
	"cargoship.dev/operator/internal/s3"
)

// thawTier is how fast, and how expensively, objects are thawed.
type thawTier string

const (
	tierStandard  thawTier = "standard"
	tierBulk      thawTier = "bulk"
	tierExpedited thawTier = "expedited"
)

// names are the tiers as S3 calls them.
func (t thawTier) name() string {
	return map[thawTier]string{tierStandard: "Standard", tierBulk: "Bulk", tierExpedited: "Expedited"}[t]
}

// defaultThawDays leaves time for a thaw of two days and a restore at leisure.
const defaultThawDays = 7

// thawFlags say whether and how objects in archive storage classes are made readable.
type thawFlags struct {
	tier      thawTier
	days      int32
	maxCost   float64
	priceFile string
	wait      bool
}

func (f *thawFlags) add(flags *pflag.FlagSet) {
	flags.Var(choice(&f.tier, tierStandard, tierBulk, tierExpedited), "thaw", "have objects in archive storage classes (S3 Glacier) made readable: standard takes hours, bulk is cheaper and slower, expedited takes minutes")
	flags.Int32Var(&f.days, "thaw-days", defaultThawDays, "days that thawed objects stay readable")
	flags.Float64Var(&f.maxCost, "max-cost", 0, "with --thaw: ask for nothing that costs more than this, in the currency of the price table; 0 only tells the cost")
	flags.StringVar(&f.priceFile, "prices", "", "file with a price table, as JSON")
	flags.BoolVar(&f.wait, "wait", false, "with --thaw: wait until objects are thawed, and restore each archive then")
}

// check finds what contradicts itself.
func (f *thawFlags) check(cmd *cobra.Command) error {
	switch given := cmd.Flags().Changed; {
	case f.tier == "" && (f.wait || given("max-cost") || given("thaw-days") || given("prices")):
		return cli.UsageError{Err: errors.New("--thaw-days, --max-cost, --prices and --wait require --thaw")}
	case f.tier != "" && !given("max-cost"):
		return cli.UsageError{Err: errors.New("--thaw requires --max-cost, since thawing costs money; --max-cost 0 tells how much")}
	case f.tier != "" && (f.days < 1 || f.maxCost < 0):
		return cli.UsageError{Err: errors.New("--thaw-days must be at least 1, and --max-cost must not be negative")}
	default:
		return nil
	}
}

// begin tells what has to be thawed and what that costs, asks for it, and has the restore
// leave out, or wait for, what can't be read yet. Without --thaw it does nothing.
func (f *thawFlags) begin(cmd *cobra.Command, o *restore.Options) (end func(), err error) {
	if f.tier == "" {
		return func() {}, nil
	}
	table, err := prices.Read(f.priceFile)
	if err != nil {
		return nil, cli.UsageError{Err: err}
	}
	ctx := cmd.Context()
	t, err := restore.NewThawer(*o, s3.ThawRequest{Days: f.days, Tier: f.tier.name()}, 0)
	if err != nil {
		return nil, err
	}
	end = func() { _ = t.Close() } // Nothing was written through it.
	frozen, err := t.Survey(ctx, o.Catalog.Select(ctx, o.Selection))
	if err == nil {
		err = f.ask(cmd, o, t, frozen, table)
	}
	if err != nil {
		end()
		return nil, err
	}
	if !frozen.None() {
		o.Thaw, o.Wait = t, f.wait
	}
	return end, nil
}

func (f *thawFlags) ask(cmd *cobra.Command, o *restore.Options, t *restore.Thawer, frozen restore.Frozen, table prices.Table) error {
	offer, err := t.Offer(frozen, table)
	if err != nil {
		return err
	}
	if !frozen.None() {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), offer)
	}
	switch {
	case len(frozen.Classes) == 0:
		return nil
	case f.maxCost == 0 || offer.Cost > f.maxCost:
		return fmt.Errorf("nothing was thawed or restored: it costs about %.2f %s, --max-cost is %.2f: raise it, or use --thaw bulk or fewer days",
			offer.Cost, offer.Currency, f.maxCost)
	}
	return t.Ask(cmd.Context(), o.Catalog.Select(cmd.Context(), o.Selection))
}

// tellThawing says when to come back for what is not thawed yet.
func (f *thawFlags) tellThawing(w io.Writer, s restore.Summary) {
	if s.Thawing > 0 {
		_, _ = fmt.Fprintf(w, "%d files are in objects that are being thawed, which takes %s\n", s.Thawing, map[thawTier]string{
			tierExpedited: "1 to 5 minutes", tierStandard: "3 to 12 hours", tierBulk: "5 to 48 hours",
		}[f.tier])
	}
}
