package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/estimate"
	"cargoship.dev/operator/internal/report"
	"cargoship.dev/operator/internal/restore"
)

// reportFormat is how a report is printed.
type reportFormat string

const (
	formatText reportFormat = "text"
	formatJSON reportFormat = "json"
	formatHTML reportFormat = "html"
)

func newReportCommand(in place) *cobra.Command {
	f := catalogFlags{place: in}
	var terms estimateFlags
	var class string
	var anew bool
	format := formatText
	cmd := &cobra.Command{
		Use:   "report " + in.arg,
		Short: "Report the outcome of a run: counts, every failed file with its reason, and costs",
		Long: "Print how many files and bytes of a run were archived, kept, skipped or failed, every file that failed with its\n" +
			"reason, and what storing it costs at list prices. In a cluster the report also has times, throughput and workers.\n" +
			"It is the report that was written when the run ended, or is made from all manifests if there is none that can be\n" +
			"used, and says which. -o json keeps to docs/schemas/report.v1.json, -o html is a page to read or print.\n" +
			"A failed file is no error of this command; a manifest that can't be read is.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			table, t, err := terms.complete()
			if err != nil {
				return cli.UsageError{Err: err}
			}
			var fleet *report.Fleet
			var sending *report.Sending
			if in.ended != nil {
				at, err := in.ended(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				fleet, class = fleetOf(at.Status), cmp.Or(class, at.Spec.Destination.StorageClass)
				sending = report.ByWorkers(at.Status.Sending)
				if terms.sse == "" {
					known := estimate.Terms(at.Spec.Destination, t.Months)
					t.KMS, t.BucketKey = known.KMS, known.BucketKey
				}
			}
			return f.use(cmd.Context(), args[0], func(c *restore.Catalog) error {
				priced := report.Terms{Terms: t, Table: table, Class: class, Stored: in.ended == nil && terms.sse == ""}
				r, err := reportOf(cmd, c, priced, anew)
				if err != nil {
					return err
				}
				if fleet != nil && (f.uid == "" || f.uid == r.Run) {
					if r.Fleet != nil { // When a transfer has ended, no worker is desired any more.
						fleet.Workers = cmp.Or(fleet.Workers, r.Fleet.Workers)
					}
					r.Fleet, r.Sending = fleet, cmp.Or(r.Sending, sending)
				}
				return printReport(cmd, r, format)
			})
		},
	}
	addDestinationFlags(cmd.Flags(), &f.destination)
	cmd.ValidArgsFunction = in.complete
	flags := cmd.Flags()
	flags.StringVar(&f.uid, "transfer", "", "the run, as UID, NAME or NAME@TIME; "+in.otherwise+" by default")
	flags.VarP(choice(&format, formatText, formatJSON, formatHTML), "output", "o", "text, json or html")
	flags.StringVar(&class, "storage-class", "", "storage class that is priced; that of the transfer, or the bucket's default, otherwise")
	flags.BoolVar(&anew, "from-manifests", false, "make the report from all manifests, whose digests the index vouches for")
	terms.addTerms(flags)
	return cmd
}

// reportOf returns the report that was written when the run ended, if it can be used, and
// otherwise makes it.
func reportOf(cmd *cobra.Command, c *restore.Catalog, terms report.Terms, anew bool) (report.Report, error) {
	r, err := report.Report{}, report.ErrNotStored
	if !anew {
		r, err = report.Read(cmd.Context(), c, terms)
	}
	if err != nil {
		if !errors.Is(err, report.ErrNotStored) {
			warn(cmd.ErrOrStderr(), []string{err.Error()})
		}
		r, err = report.Of(cmd.Context(), c, terms)
	}
	if err == nil {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "read from %s\n", r.From)
	}
	return r, err
}

func printReport(cmd *cobra.Command, r report.Report, format reportFormat) error {
	w := cmd.OutOrStdout()
	var err error
	switch format {
	case formatJSON:
		lines := json.NewEncoder(w)
		lines.SetIndent("", "  ")
		err = lines.Encode(r)
	case formatHTML:
		err = r.HTML(w)
	default:
		err = r.Text(w)
	}
	if err == nil && len(r.Unreadable) > 0 {
		err = fmt.Errorf("%d manifests can't be read, so the report is incomplete: check the run with cargoship verify", len(r.Unreadable))
	}
	return err
}
