// Command worker is what the pods of an ArchiveTransfer run: it moves archives under a
// lease, and closes the transfer at its end.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/cli"
)

func main() { os.Exit(cli.Main(newRootCommand())) }

func newRootCommand() *cobra.Command {
	commands := []*cobra.Command{newRunCommand(), newFinishCommand()}
	for _, name := range []string{"copy", "ls", "restore", "verify", "prune", "estimate"} {
		commands = append(commands, newMovedCommand(name))
	}
	return cli.NewRoot("worker", "Upload the files of an ArchiveTransfer to S3; runs in its pods", commands...)
}

// newMovedCommand points scripts that call a former command to the new one.
func newMovedCommand(name string) *cobra.Command {
	return &cobra.Command{
		Use: name, Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			err := fmt.Errorf("this command has moved: run `cargoship %s` with the same arguments", name)
			return cli.ExitError{Err: err, Code: cli.ExitUsage}
		},
	}
}
