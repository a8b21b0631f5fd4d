package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/upload"
)

// defaultPrices are list prices of Amazon S3 in us-east-1 for the first 50 TB, as
// published in March 2026. Deep Archive is left out: for its requests the sources at
// hand differ.
//
//go:embed prices.json
var defaultPrices []byte

// price is what a storage class costs, in the currency of the table.
type price struct {
	Class string `json:"class"`
	// GiBMonth is for one GiB stored for a month, Thousand for 1,000 requests that write.
	GiBMonth float64 `json:"gibMonth"`
	Thousand float64 `json:"thousandRequests"`
}

type priceTable struct {
	Currency string  `json:"currency"`
	Classes  []price `json:"classes"`
}

// estimate is what a copy would create.
type estimate struct {
	// Files counts files, and with packing tar directories and links too.
	Files    int64 `json:"files"`
	Skipped  int64 `json:"skipped"`
	Archives int64 `json:"archives"`
	// Objects, Bytes and Requests are those of data and manifests. Bytes are before compression.
	Objects  int64  `json:"objects"`
	Bytes    int64  `json:"bytes"`
	Requests int64  `json:"requests"`
	Currency string `json:"currency"`
	Costs    []cost `json:"costs"`
}

// cost is the cost in one storage class.
type cost struct {
	Class    string  `json:"class"`
	Month    float64 `json:"perMonth"`
	Requests float64 `json:"requestsOnce"`
}

func newEstimateCommand() *cobra.Command {
	var layout archive.Layout
	var packing packingFlags
	var include, exclude []string
	var prices string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "estimate DIR",
		Short: "Estimate the objects, requests and cost of a copy, without sending anything",
		Long: "Walk a directory as copy would, and print how many archives, objects, bytes and requests a copy takes, and\n" +
			"its cost by storage class. Sizes are before compression. Prices are list prices of Amazon S3 in us-east-1,\n" +
			"unless --prices names a file with others; docs/operations.md describes the format.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(packing.complete(&layout, args[0]), archive.CheckPatterns(include, exclude), layout.Validate()); err != nil {
				return cli.UsageError{Err: err}
			}
			table, err := readPrices(prices)
			if err != nil {
				return cli.UsageError{Err: err}
			}
			e, err := estimateCopy(cmd.Context(), args[0], layout, include, exclude)
			if err != nil {
				return err
			}
			e.price(table)
			return e.print(cmd.OutOrStdout(), asJSON)
		},
	}
	packing.add(cmd.Flags(), &layout)
	addSourceFlags(cmd.Flags(), &include, &exclude)
	cmd.Flags().StringVar(&prices, "prices", "", "file with a price table, as JSON")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the estimate as a JSON object")
	return cmd
}

func readPrices(file string) (priceTable, error) {
	data := defaultPrices
	if file != "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return priceTable{}, fmt.Errorf("read the price table: %w", err)
		}
	}
	var t priceTable
	if err := json.Unmarshal(data, &t); err != nil {
		return t, fmt.Errorf("read the price table %s: %w", file, err)
	}
	for _, p := range t.Classes {
		if p.Class == "" || p.GiBMonth < 0 || p.Thousand < 0 {
			return t, fmt.Errorf("price table %s: every class needs a name and non-negative prices", file)
		}
	}
	return t, nil
}

// estimateCopy walks a directory and counts what a copy would create.
func estimateCopy(ctx context.Context, dir string, layout archive.Layout, include, exclude []string) (estimate, error) {
	var e estimate
	source, err := archive.OpenSource(dir, "")
	if err != nil {
		return e, err
	}
	defer func() { _ = source.Close() }()
	layout.UID = "estimate"
	e.bookkeeping(layout)
	if layout, err = source.Resolve(ctx, layout, include, exclude); err != nil {
		return e, err
	}
	options := archive.WalkOptions{Include: include, Exclude: exclude, Layout: layout}
	members := int64(0)
	_, err = source.Walk(ctx, options, func(a archive.Archive) error {
		e.add(layout, a)
		members += a.Files()
		return nil
	})
	e.pathIndex(members)
	return e, err
}

// pathIndex counts what finds so many members by their paths.
func (e *estimate) pathIndex(members int64) {
	for range archive.PathIndexObjects(members) {
		e.object(0, 1)
	}
}

// bookkeeping counts what a run has once.
func (e *estimate) bookkeeping(layout archive.Layout) {
	e.object(0, 1) // the index
	if layout.Tar != nil {
		e.object(0, 1) // the plan
	}
}

// add counts an archive.
func (e *estimate) add(layout archive.Layout, a archive.Archive) {
	e.Archives++
	if a.Number == 0 {
		e.object(0, 1) // the digests of the prefix
	}
	_, packs := layout.TarKey(a)
	for _, entry := range a.Entries {
		switch {
		case !entry.Sendable():
			e.Skipped++
			continue
		case !packs || entry.Object:
			e.object(entry.Size, upload.Requests(entry.Size))
		}
		e.Files++
	}
	if packs {
		size := archive.PlannedSize(a)
		e.object(size, upload.StreamRequests(size))
	}
	e.object(0, 1) // the manifest
}

func (e *estimate) object(bytes, requests int64) {
	e.Objects++
	e.Bytes += bytes
	e.Requests += requests
}

// price adds the costs.
func (e *estimate) price(t priceTable) {
	e.Currency = t.Currency
	for _, p := range t.Classes {
		e.Costs = append(e.Costs, cost{
			p.Class, float64(e.Bytes) / (1 << 30) * p.GiBMonth, float64(e.Requests) / 1000 * p.Thousand,
		})
	}
}

func (e estimate) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(e)
	}
	_, err := fmt.Fprintf(w, "%d files, %d skipped; %d archives, %d objects, %s before compression, %d requests\n",
		e.Files, e.Skipped, e.Archives, e.Objects, convert.Bytes(e.Bytes), e.Requests)
	for _, c := range e.Costs {
		if err == nil {
			_, err = fmt.Fprintf(w, "%-20s %12.2f %s a month, %10.2f %s once for the requests\n", c.Class, c.Month, e.Currency, c.Requests, e.Currency)
		}
	}
	return err
}
