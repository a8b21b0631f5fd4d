package kubectl

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/api/v1alpha1"
)

// fieldManager identifies the changes of these commands.
const fieldManager = client.FieldOwner("kubectl-cargoship")

// suspendPatch is what suspend and resume change of a transfer.
const suspendPatch = `{"spec":{"suspend":%t}}`

func newSuspendCommand(a *access, suspend bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "suspend NAME...",
		Short: "Stop the workers of transfers; what is archived is kept",
		Long:  "Set spec.suspend of transfers: their workers end, and what has been archived is kept and not sent again.",
	}
	if !suspend {
		cmd.Use, cmd.Short = "resume NAME...", "Continue suspended transfers"
		cmd.Long = "Clear spec.suspend of transfers: their workers start again, and continue where they stopped."
	}
	cmd.Args, cmd.ValidArgsFunction = cobra.MinimumNArgs(1), a.completeNames
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.open()
		if err != nil {
			return err
		}
		var errs []error
		for _, name := range args {
			text, err := c.suspend(cmd.Context(), name, suspend)
			if errs = append(errs, err); err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	return cmd
}

// suspend sets spec.suspend, and returns the line to print.
func (c *cluster) suspend(ctx context.Context, name string, suspend bool) (string, error) {
	one, err := c.named(ctx, name)
	if err != nil {
		return "", err
	}
	verb := map[bool]string{true: "suspended", false: "resumed"}[suspend]
	run := one.run
	switch {
	case run.Ended():
		return "", fmt.Errorf("%s has ended: there is nothing to %s; `kubectl cargoship explain %s` says what to do",
			one.title(), map[bool]string{true: "suspend", false: "resume"}[suspend], name)
	case !run.Suspended && !suspend && run.Is(v1alpha1.ConditionSuspended):
		return "", fmt.Errorf("%s is not suspended by its spec: a job queue holds the Job of its workers; see that queue", one.title())
	case run.Suspended == suspend:
		return fmt.Sprintf("%s was already %s", one.title(), verb), nil
	}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, suspendPatch, suspend))
	if err := c.Patch(ctx, one.Object, patch, fieldManager); err != nil {
		return "", c.problem(ctx, "patch", one.resource(), c.namespace, one.GetName(), err)
	}
	return fmt.Sprintf("%s %s", one.title(), verb), nil
}
