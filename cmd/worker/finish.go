package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

func newFinishCommand() *cobra.Command {
	var f siteFlags
	var abortOnly bool
	cmd := &cobra.Command{
		Use:   "finish",
		Short: "Close an ArchiveTransfer whose workers are gone: abort leftover uploads, write the index",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			site, err := f.site()
			if err != nil {
				return err
			}
			return site.Finish(cmd.Context(), abortOnly, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&abortOnly, "abort", false, "abort leftover uploads only: the transfer is being deleted")
	return cmd
}
