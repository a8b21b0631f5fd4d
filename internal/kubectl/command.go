package kubectl

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// completionTimeout bounds what a shell waits for names.
const completionTimeout = 3 * time.Second

// Commands are those for a cluster. They share the flags that kubectl has for it, which
// AddFlags adds to their parent.
type Commands struct{ access *access }

// New prepares the commands; the kubeconfig is read when one of them runs.
func New() Commands { return Commands{newAccess()} }

// AddFlags adds the flags of kubectl that name a cluster, a user and a namespace.
func (c Commands) AddFlags(parent *cobra.Command) {
	c.access.addFlags(parent.PersistentFlags())
	_ = parent.RegisterFlagCompletionFunc("namespace", c.access.completeNamespaces)
}

// All returns the commands.
func (c Commands) All() []*cobra.Command {
	return []*cobra.Command{
		newStatusCommand(c.access), newExplainCommand(c.access), newSuspendCommand(c.access, true), newSuspendCommand(c.access, false), newRetryCommand(c.access), newLogsCommand(c.access), newRecordCommand(c.access), newBundleCommand(c.access), newUICommand(c.access),
	}
}

// CompleteNames offers the names of transfers for the first argument of a command.
func (c Commands) CompleteNames(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	return c.access.completeNames(cmd, args, begin)
}

// completeNames offers the names of transfers for the first argument.
func (a *access) completeNames(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	c, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	items, err := c.items(ctx, c.namespace)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, item := range items {
		if name := item.run.Title(); strings.HasPrefix(name, begin) {
			names = append(names, name+"\t"+item.run.Phase())
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeNamespaces offers those that hold transfers, since listing these is what users
// of this command may do.
func (a *access) completeNamespaces(cmd *cobra.Command, _ []string, begin string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	c, err := a.open()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	items, err := c.items(ctx, "", client.Limit(500))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	seen := map[string]bool{}
	var names []string
	for _, item := range items {
		if ns := item.GetNamespace(); strings.HasPrefix(ns, begin) && !seen[ns] {
			seen[ns] = true
			names = append(names, ns)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
