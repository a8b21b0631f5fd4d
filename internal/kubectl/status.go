package kubectl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/kubectl/view"
)

// watchInterval is how often status --watch looks: as often as the coordinator decides.
const watchInterval = 2 * time.Second

// statusFlags are those of status.
type statusFlags struct {
	*access
	all, watch bool
	selector   string
	output     output
}

func newStatusCommand(a *access) *cobra.Command {
	f := statusFlags{access: a}
	cmd := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show the progress of transfers and what limits them",
		Long: "Show the transfers of a namespace, or one of them in detail: progress, throughput, what limits it now, its\n" +
			"prefixes and workers, and problems. With --watch, keep the screen up to date on a terminal, or print a line\n" +
			"for each change.",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE:              f.run,
	}
	flags := cmd.Flags()
	flags.BoolVarP(&f.all, "all-namespaces", "A", false, "show the transfers of all namespaces")
	flags.BoolVarP(&f.watch, "watch", "w", false, "keep watching until interrupted")
	flags.StringVarP(&f.selector, "selector", "l", "", "show only transfers with these labels, such as team=a")
	f.output.add(cmd)
	return cmd
}

func (f *statusFlags) run(cmd *cobra.Command, args []string) error {
	selector, err := f.check(args)
	if err != nil {
		return cli.UsageError{Err: err}
	}
	c, err := f.open()
	if err != nil {
		return err
	}
	if f.watch {
		return f.follow(cmd, c, args, selector)
	}
	items, err := f.items(cmd.Context(), c, args, selector)
	switch {
	case err != nil:
		return err
	case f.output.machine():
		return f.output.print(cmd.OutOrStdout(), items, len(args) > 0)
	case len(items) == 0:
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), "no transfers found: `kubectl cargoship status -A` looks in all namespaces")
		return err
	}
	shown, err := f.explained(cmd.Context(), c, items)
	if err != nil {
		return err
	}
	_, err = io.WriteString(cmd.OutOrStdout(), f.draw(len(args) > 0, false)(shown, time.Now(), terminal(cmd.OutOrStdout())))
	return err
}

// check looks for contradictions in the flags.
func (f *statusFlags) check(args []string) (labels.Selector, error) {
	switch {
	case f.all && len(args) > 0:
		return nil, errors.New("NAME and --all-namespaces exclude each other: use -n for the namespace of NAME")
	case f.watch && f.output.machine():
		return nil, fmt.Errorf("--watch and -o %s exclude each other: use kubectl get archivetransfers -w -o %s", f.output.format, f.output.format)
	}
	selector, err := labels.Parse(f.selector)
	if err != nil {
		return nil, fmt.Errorf("--selector: %w", err)
	}
	return selector, nil
}

// follow shows until interrupted.
func (f *statusFlags) follow(cmd *cobra.Command, c *cluster, args []string, selector labels.Selector) (err error) {
	look := func(ctx context.Context) ([]view.Item, error) {
		items, err := f.items(ctx, c, args, selector)
		if err != nil {
			return nil, err
		}
		return f.explained(ctx, c, items)
	}
	out := cmd.OutOrStdout()
	if terminal(out).Width == 0 {
		return watch(cmd.Context(), watchInterval, look, &lines{out: out})
	}
	if _, err := io.WriteString(out, enterScreen); err != nil {
		return err
	}
	defer func() {
		_, leaveErr := io.WriteString(out, leaveScreen)
		err = errors.Join(err, leaveErr)
	}()
	return watch(cmd.Context(), watchInterval, look, &screen{out: out, draw: f.draw(len(args) > 0, true)})
}

// items reads the transfers that are asked for.
func (f *statusFlags) items(ctx context.Context, c *cluster, args []string, selector labels.Selector) ([]item, error) {
	if len(args) > 0 {
		one, err := c.named(ctx, args[0])
		return []item{one}, err
	}
	return c.items(ctx, f.scope(c), client.MatchingLabelsSelector{Selector: selector})
}

// explained adds the workers' reports.
func (f *statusFlags) explained(ctx context.Context, c *cluster, items []item) ([]view.Item, error) {
	leases, err := c.leases(ctx, f.scope(c))
	return explained(items, leases), err
}

// scope is the namespace to look in, empty for all.
func (f *statusFlags) scope(c *cluster) string {
	if f.all {
		return ""
	}
	return c.namespace
}

// draw chooses the picture: of one transfer, or of a list, with bars where it is live.
func (f *statusFlags) draw(one, live bool) func([]view.Item, time.Time, view.Terminal) string {
	return func(items []view.Item, now time.Time, t view.Terminal) string {
		if one {
			return view.Detail(items[0], now, t)
		}
		return view.List(items, now, t, view.Options{Wide: f.output.format == wide, Namespaces: f.all, Bars: live})
	}
}
