package cli

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/tracing"
)

// Traced has a command send its spans, below one named run, to the collector that the
// environment names, if any. A command works without its traces, too.
func Traced(service string, run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
		stop, err := tracing.Start(cmd.Context(), service, logger)
		if err != nil {
			logger.Warn("nothing is traced", "error", err.Error())
			return run(cmd, args)
		}
		defer func() {
			if err := stop(context.WithoutCancel(cmd.Context())); err != nil {
				logger.Warn("the last traces are not sent", "error", err.Error())
			}
		}()
		ctx, span := tracing.Begin(cmd.Context(), "run")
		defer span.End()
		span.Text("cargoship.command", cmd.Name())
		cmd.SetContext(ctx)
		if err = run(cmd, args); err != nil {
			span.Fail("")
		}
		return err
	}
}
