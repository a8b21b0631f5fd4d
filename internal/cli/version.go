package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release and revision are set by the linker where a release is built: the version, such as
// v1.2.3, and the commit.
var release, revision string //nolint:gochecknoglobals // The linker sets variables of packages only.

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), Version(cmd.Root().Name()))
			return err
		},
	}
}

// Version is the version of the release, or else the one that the Go toolchain stored in the
// binary.
func Version(program string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return program + " (unknown version)"
	}
	if release != "" {
		return describe(program, release, info.GoVersion, revision)
	}
	commit, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "-modified"
		}
	}
	return describe(program, info.Main.Version, info.GoVersion, commit+modified)
}

func describe(program, version, toolchain, commit string) string {
	if commit != "" {
		commit = ", revision " + commit
	}
	return fmt.Sprintf("%s %s (%s%s)", program, version, toolchain, commit)
}
