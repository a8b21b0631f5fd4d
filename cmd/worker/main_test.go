package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"cargoship.dev/operator/internal/cli"
)

// envBeProgram makes the test binary behave as the program.
const envBeProgram = "CARGOSHIP_TEST_BE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(envBeProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// work runs the program to its end, and returns its exit code and all that it has printed.
func work(tb testing.TB, args ...string) (code int, said string) {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), self, args...)
	cmd.Env = []string{envBeProgram + "=1", "HOME=" + tb.TempDir(), "GOCOVERDIR=" + os.Getenv("GOCOVERDIR")}
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || !exit.Exited()) {
		tb.Fatalf("worker: %v\n%s", err, out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestUsageErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"unknown command":     {[]string{"coyp"}, `worker: unknown command "coyp"`},
		"run without its pod": {[]string{"run"}, "worker run: required flag"},
		"finish, argument":    {[]string{"finish", "x"}, "worker finish: "},
		"version, argument":   {[]string{"version", "x"}, "worker version: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, said := work(t, tc.args...)
			if code != cli.ExitUsage || strings.Count(said, "\n") != 1 || !strings.Contains(said, tc.want) || !strings.Contains(said, "--help") {
				t.Errorf("exit code %d: %q, want one line with %q and the way to help", code, said, tc.want)
			}
		})
	}
}

// What was a command of worker once names the one that it is now, whatever its arguments.
func TestCommandsThatHaveMoved(t *testing.T) {
	for _, name := range []string{"copy", "ls", "restore", "verify", "prune", "estimate"} {
		for _, arguments := range [][]string{nil, {"./photos", "s3://bucket", "--packing", "tar"}, {"--help"}} {
			code, said := work(t, append([]string{name}, arguments...)...)
			want := "worker " + name + ": this command has moved: run `cargoship " + name + "` with the same arguments\n"
			if code != cli.ExitUsage || said != want {
				t.Errorf("%s %q: exit code %d: %q, want %d: %q", name, arguments, code, said, cli.ExitUsage, want)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	if code, said := work(t, "version"); code != 0 || !strings.HasPrefix(said, "worker ") || !strings.Contains(said, "go1.") {
		t.Errorf("exit code %d, %q", code, said)
	}
}
