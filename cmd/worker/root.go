package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/worker"
)

// Exit codes besides 0.
const (
	exitFailure = 1
	exitUsage   = 2
	// exitCountsDiffer: files were lost count of, and trying again does not help.
	exitCountsDiffer = 3
	// exitAttributes: all files are restored, and some lack attributes that they had.
	exitAttributes = 4
)

// usageError is a mistake in the command line that the command itself found.
type usageError struct{ error }

// attributesError says that all that is missing is attributes.
type attributesError struct{ error }

// failure is an error of a command that was used rightly.
type failure struct{ error }

// Unwrap lets errors.Is find the cause.
func (f failure) Unwrap() error { return f.error }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "worker",
		Short: "Move files into S3",
		// One line tells what is wrong; the usage is for those who ask for it.
		SilenceUsage:       true,
		SilenceErrors:      true,
		DisableSuggestions: true,
		CompletionOptions:  cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(newCopyCommand(), newListCommand(), newRestoreCommand(), newVerifyCommand(), newPruneCommand(), newEstimateCommand(), newRunCommand(), newFinishCommand(), newVersionCommand())
	for _, cmd := range root.Commands() {
		cmd.RunE = markFailures(cmd.RunE)
	}
	return root
}

// markFailures tells the errors of a command at work from those that cobra finds
// before, which are all of usage.
func markFailures(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if _, usage := errors.AsType[usageError](err); err == nil || usage {
			return err
		}
		return failure{err}
	}
}

// verdict returns the one line that an error is worth, and the exit code.
func verdict(ctx context.Context, cmd *cobra.Command, err error) (line string, code int) {
	text := harmless(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
	if _, failed := errors.AsType[failure](err); !failed {
		return fmt.Sprintf("%s: %s: see %s --help", cmd.CommandPath(), text, cmd.CommandPath()), exitUsage
	}
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(err, cause) || errors.Is(err, ctx.Err()) {
			text = cause.Error()
		}
		text = "stopped: " + text
	}
	if _, differ := errors.AsType[*worker.CountsDifferError](err); differ {
		return fmt.Sprintf("%s: %s", cmd.CommandPath(), text), exitCountsDiffer
	}
	if _, attributes := errors.AsType[attributesError](err); attributes {
		return fmt.Sprintf("%s: %s", cmd.CommandPath(), text), exitAttributes
	}
	return fmt.Sprintf("%s: %s", cmd.CommandPath(), text), exitFailure
}
