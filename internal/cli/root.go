package cli

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
	ExitFailure = 1
	ExitUsage   = 2
	// ExitCountsDiffer: the counts of files do not add up, and rerunning does not help.
	ExitCountsDiffer = 3
)

// UsageError is a mistake in the command line that the command itself found.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap lets errors.Is find the cause.
func (e UsageError) Unwrap() error { return e.Err }

// ExitError is an error with an exit code of its own.
type ExitError struct {
	Err  error
	Code int
}

func (e ExitError) Error() string { return e.Err.Error() }

// Unwrap lets errors.Is find the cause.
func (e ExitError) Unwrap() error { return e.Err }

// failure is an error of a command whose usage was correct.
type failure struct{ error }

// Unwrap lets errors.Is find the cause.
func (f failure) Unwrap() error { return f.error }

// NewRoot returns a program with its commands, and with version.
func NewRoot(name, short string, commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   name,
		Short: short,
		// An error is one line; --help prints the usage.
		SilenceUsage:       true,
		SilenceErrors:      true,
		DisableSuggestions: true,
		CompletionOptions:  cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(append(commands, newVersionCommand())...)
	for _, cmd := range root.Commands() {
		markAll(cmd)
	}
	return root
}

// markAll marks the failures of a command and of those below it.
func markAll(cmd *cobra.Command) {
	if cmd.RunE != nil {
		cmd.RunE = markFailures(cmd.RunE)
	}
	for _, below := range cmd.Commands() {
		markAll(below)
	}
}

// markFailures distinguishes the errors of a running command from those that cobra finds
// before it runs, which are all usage errors.
func markFailures(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if _, usage := errors.AsType[UsageError](err); err == nil || usage {
			return err
		}
		return failure{err}
	}
}

// Verdict returns the line to print for an error of a command, and the exit code.
func Verdict(ctx context.Context, cmd *cobra.Command, err error) (line string, code int) {
	text := Printable(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
	if _, failed := errors.AsType[failure](err); !failed {
		return fmt.Sprintf("%s: %s: see %s --help", cmd.CommandPath(), text, cmd.CommandPath()), ExitUsage
	}
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(err, cause) || errors.Is(err, ctx.Err()) {
			text = cause.Error()
		}
		text = "stopped: " + text
	}
	return fmt.Sprintf("%s: %s", cmd.CommandPath(), text), exitCode(err)
}

func exitCode(err error) int {
	if exit, ok := errors.AsType[ExitError](err); ok {
		return exit.Code
	}
	if _, differ := errors.AsType[*worker.CountsDifferError](err); differ {
		return ExitCountsDiffer
	}
	return ExitFailure
}
