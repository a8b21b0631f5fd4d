package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"

	"cargoship.dev/operator/internal/worker"
)

func TestVerdict(t *testing.T) {
	stopped, stop := context.WithCancelCause(t.Context())
	stop(errors.New("interrupt signal received"))
	for name, tc := range map[string]struct {
		ctx  context.Context
		err  error
		line string
		code int
	}{
		"failure":       {t.Context(), errors.New("put\nobject"), "tool act: put; object", ExitFailure},
		"usage":         {t.Context(), UsageError{errors.New("no number")}, "tool act: no number: see tool act --help", ExitUsage},
		"own code":      {t.Context(), fmt.Errorf("restore: %w", ExitError{errors.New("no owner"), 4}), "tool act: restore: no owner", 4},
		"counts differ": {t.Context(), &worker.CountsDifferError{}, "tool act: CountsDiffer:", ExitCountsDiffer},
		"stopped":       {stopped, fmt.Errorf("walk: %w", context.Canceled), "tool act: stopped: interrupt signal received", ExitFailure},
	} {
		t.Run(name, func(t *testing.T) {
			act := &cobra.Command{Use: "act", RunE: func(*cobra.Command, []string) error { return tc.err }}
			root := NewRoot("tool", "Try it", act)
			root.SetArgs([]string{"act"})
			cmd, err := root.ExecuteC()
			if line, code := Verdict(tc.ctx, cmd, err); line != tc.line || code != tc.code {
				t.Errorf("%q with code %d, want %q with %d", line, code, tc.line, tc.code)
			}
		})
	}
}
