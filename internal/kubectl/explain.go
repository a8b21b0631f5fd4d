package kubectl

import (
	"io"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/kubectl/view"
)

func newExplainCommand(a *access) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "explain NAME",
		Short: "Say what limits a transfer now, with evidence and advice",
		Long: "Say in one sentence what limits a transfer now, with the figures that show it and what to do about it.\n" +
			"While data moves, the word is that of status.coordination.limitedBy: Source, CPU, Memory, Window, Rate, Path,\n" +
			"Policer, Outage or Policy; otherwise it is Suspended, Queue, Quota, Budget, Workers, Blocked, Finishing, NoLeader,\n" +
			"Unknown or Ended.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			one, leases, err := a.observed(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			shown := explained([]item{one}, leases)[0]
			if o.machine() && o.format != "name" {
				return printObject(cmd.OutOrStdout(), shown.Answer, o.format)
			}
			if o.format == "name" {
				_, err := io.WriteString(cmd.OutOrStdout(), string(shown.Answer.LimitedBy)+"\n")
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), view.Answer(shown, terminal(cmd.OutOrStdout())))
			return err
		},
	}
	o.add(cmd)
	return cmd
}
