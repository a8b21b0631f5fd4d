package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/estimate"
	"cargoship.dev/operator/internal/prices"
)

// estimated is what a command prints: the packing asked for, and if it is known, the other one.
type estimated struct {
	estimate.Way
	Currency   string `json:"currency"`
	PricesDate string `json:"pricesDate,omitempty"`
	PricesOf   string `json:"pricesOf,omitempty"`
	// Months is how long what is stored is kept.
	Months   float64           `json:"months"`
	Other    *estimate.Way     `json:"other,omitempty"`
	Cheapest []estimate.Choice `json:"cheapest,omitempty"`
}

// estimateFlags say how what is estimated is stored and priced.
type estimateFlags struct {
	priceFile string
	months    float64
	sse       string
	bucketKey bool
	output    outputFlags
}

func (f *estimateFlags) add(flags *pflag.FlagSet) {
	f.addTerms(flags)
	f.output.add(flags, "print the estimate as a JSON object")
}

// addTerms adds those that say what is priced.
func (f *estimateFlags) addTerms(flags *pflag.FlagSet) {
	flags.StringVar(&f.priceFile, "prices", "", "file with a price table, as JSON")
	flags.Float64Var(&f.months, "months", 12, "how many months the objects are kept")
	flags.StringVar(&f.sse, "sse", "", "server-side encryption, AES256 or aws:kms, whose requests are priced")
	flags.BoolVar(&f.bucketKey, "bucket-key", false, "with --sse aws:kms: use an S3 Bucket Key, for fewer requests to the KMS")
}

// complete returns prices and terms.
func (f *estimateFlags) complete() (prices.Table, prices.Terms, error) {
	if !(f.months >= 0 && f.months <= 12_000) {
		return prices.Table{}, prices.Terms{}, errors.New("--months must be between 0 and 12000")
	}
	table, err := prices.Read(f.priceFile)
	return table, prices.Terms{Months: f.months, KMS: f.sse == "aws:kms", BucketKey: f.bucketKey, ThawDays: defaultThawDays}, err
}

func newEstimateCommand() *cobra.Command {
	var layout archive.Layout
	var packing packingFlags
	var include, exclude []string
	var f estimateFlags
	cmd := &cobra.Command{
		Use:   "estimate DIR",
		Short: "Estimate the objects, requests and cost of a copy, without sending anything",
		Long: "Walk a directory as copy would, and print how many archives, objects, bytes and requests a copy takes, packed\n" +
			"and not packed, what it costs by storage class to write, keep and restore, and which is the cheapest. Sizes are\n" +
			"before compression. Prices are list prices of Amazon S3 in us-east-1, unless --prices names a file with others;\n" +
			"docs/operations.md describes the format.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			other, alternative := packing.other(layout)
			table, terms, err := f.complete()
			if err := errors.Join(err, packing.complete(&layout, args[0]), other.complete(&alternative, args[0]),
				archive.CheckPatterns(include, exclude), layout.Validate()); err != nil {
				return cli.UsageError{Err: err}
			}
			var ways []estimate.Way
			for _, l := range []archive.Layout{layout, alternative} {
				run, err := estimate.Directory(cmd.Context(), args[0], l, include, exclude, table)
				if err != nil {
					return err
				}
				ways = append(ways, estimate.NewWay(run, table, terms))
			}
			return newEstimated(ways, table, terms).print(cmd.OutOrStdout(), f.output)
		},
	}
	packing.add(cmd.Flags(), &layout)
	addSourceFlags(cmd.Flags(), &include, &exclude)
	f.add(cmd.Flags())
	return cmd
}

func newEstimated(ways []estimate.Way, table prices.Table, terms prices.Terms) estimated {
	e := estimated{
		Way: ways[0], Currency: table.Currency, PricesDate: table.Date, PricesOf: table.Of, Months: terms.Months,
		Cheapest: estimate.Cheapest(ways, table.Currency),
	}
	if len(ways) > 1 {
		e.Other = &ways[1]
	}
	return e
}

// ways are those there are.
func (e estimated) ways() []estimate.Way {
	if e.Other == nil {
		return []estimate.Way{e.Way}
	}
	return []estimate.Way{e.Way, *e.Other}
}

func (e estimated) print(w io.Writer, o outputFlags) error {
	if !o.forPeople() {
		return o.print(w, e)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, way := range e.ways() {
		_, _ = fmt.Fprintf(w, "packing %s: %d files, %d skipped; %d archives, %d objects, %s before compression, %d requests\n",
			way.Packing, way.Files, way.Skipped, way.Archives, way.Objects, convert.Bytes(way.Bytes), way.Requests)
	}
	_, _ = fmt.Fprintf(w, "in %s, prices %s\n\n", e.Currency, e.source())
	_, _ = fmt.Fprintf(table, "PACKING\tCLASS\tONCE\tA MONTH\tOVERHEAD\tMIN DAYS\t%g MONTHS\tRESTORE\tTRAFFIC OUT\n", e.Months)
	for _, way := range e.ways() {
		for _, q := range way.Costs {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
				way.Packing, q.Class, estimate.Amount(q.Requests+q.KMS), estimate.Amount(q.Month), estimate.Amount(q.Overhead),
				q.MinimumDays, estimate.Amount(q.Total), restores(q.Restores), estimate.Amount(q.TransferOut))
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the estimate: %w", err)
	}
	return e.advise(w)
}

// source says what prices these are.
func (e estimated) source() string {
	if e.PricesDate == "" {
		return "of a table without a date"
	}
	return fmt.Sprintf("of %s (%s)", e.PricesDate, e.PricesOf)
}

// restores writes the ways to restore, as "0.07 Bulk, 0.12 Standard".
func restores(ways []prices.Restore) string {
	var text []string
	for _, r := range ways {
		text = append(text, strings.TrimSpace(estimate.Amount(r.Cost)+" "+r.Tier))
	}
	return strings.Join(text, ", ")
}

// advise names the cheapest.
func (e estimated) advise(w io.Writer) (err error) {
	for i, c := range e.Cheapest {
		what := "cheapest"
		if i > 0 {
			what = "cheapest without a thaw"
		}
		_, err = fmt.Fprintf(w, "\n%s for %g months: packing %s in %s, %s %s\n", what, e.Months, c.Packing, c.Class, estimate.Amount(c.Total), e.Currency)
		for _, reason := range c.Reasons {
			_, err = fmt.Fprintf(w, "- %s\n", reason)
		}
	}
	return err
}
