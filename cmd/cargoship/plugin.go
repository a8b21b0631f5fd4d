package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/kubectl"
)

// Names under which kubectl finds its plugins, and what completes their arguments.
const (
	pluginName     = "kubectl-cargoship"
	completionName = "kubectl_complete-cargoship"
)

const aboutCluster = "Show and change the ArchiveTransfers of a cluster"

// newProgram returns the program that was called, by its name.
func newProgram(argv []string) *cobra.Command {
	args := argv[1:]
	var root *cobra.Command
	switch strings.TrimSuffix(filepath.Base(argv[0]), ".exe") {
	case completionName:
		args = append([]string{cobra.ShellCompRequestCmd}, args...)
		fallthrough
	case pluginName:
		root = newPlugin()
	default:
		root = newRootCommand()
	}
	root.SetArgs(args)
	return root
}

// newPlugin is `kubectl cargoship`.
func newPlugin() *cobra.Command {
	cluster := kubectl.New()
	root := cli.NewRoot(pluginName, aboutCluster, clusterCommands(cluster)...)
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl cargoship"}
	root.CompletionOptions.DisableDefaultCmd = false
	cluster.AddFlags(root)
	return root
}

// clusterCommands are those that read objects, and those that read what objects name.
func clusterCommands(cluster kubectl.Commands) []*cobra.Command {
	in := inCluster(cluster)
	return append(cluster.All(), newListCommand(in), newRestoreCommand(in), newVerifyCommand(in), newPlannedEstimateCommand(in), newReportCommand(in))
}

// newClusterCommand has the same commands where no plugin is installed.
func newClusterCommand() *cobra.Command {
	cluster := kubectl.New()
	cmd := &cobra.Command{
		Use:   "kubectl",
		Short: aboutCluster + ", as kubectl cargoship does",
		Long: aboutCluster + ". The same commands are those of `kubectl cargoship` once a copy of this\n" +
			"program, or a link to it, is called " + pluginName + " and in the PATH.",
	}
	cmd.AddCommand(clusterCommands(cluster)...)
	cluster.AddFlags(cmd)
	return cmd
}

func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write manual pages, one for each command, into a directory",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("create the directory for manual pages: %w", err)
			}
			for _, root := range []*cobra.Command{newRootCommand(), newPlugin()} {
				root.DisableAutoGenTag = true // which would hold the day
				if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "CargoShip"}, args[0]); err != nil {
					return fmt.Errorf("write manual pages to %s: %w", args[0], err)
				}
			}
			return nil
		},
	}
}
