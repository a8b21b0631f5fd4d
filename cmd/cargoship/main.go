// Command cargoship copies directories into S3, and lists, verifies and restores what it,
// or an ArchiveTransfer, has archived there. Called kubectl-cargoship, it is a plugin of
// kubectl for the transfers of a cluster.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/cli"
)

// service is the program's name in traces.
const service = "cargoship"

// exitAttributes is the exit code if all files are restored, and some lack attributes.
const exitAttributes = 4

// exitThawing is the exit code if all files are restored but those whose objects are being thawed.
const exitThawing = 5

func main() { os.Exit(cli.Main(newProgram(os.Args))) }

func newRootCommand() *cobra.Command {
	root := cli.NewRoot("cargoship", "Archive directories in S3, without a cluster, and read what is archived there",
		newCopyCommand(), newListCommand(inBucket()), newRestoreCommand(inBucket()), newVerifyCommand(inBucket()), newPruneCommand(), newEstimateCommand(), newReportCommand(inBucket()),
		newClusterCommand(), newManCommand())
	root.CompletionOptions.DisableDefaultCmd = false
	return root
}
