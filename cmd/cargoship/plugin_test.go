package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// output runs a program by the name that it is called.
func output(t *testing.T, argv ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := newProgram(argv)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func names(cmd *cobra.Command) (list []string) {
	for _, c := range cmd.Commands() {
		list = append(list, c.Name())
	}
	return list
}

func TestTheNameChoosesTheProgram(t *testing.T) {
	for _, tc := range []struct {
		argv []string
		want string
	}{
		{[]string{"/usr/bin/cargoship", "copy", "--help"}, "cargoship copy DIR s3://"},
		{[]string{"/usr/bin/kubectl-cargoship", "explain", "--help"}, "kubectl cargoship explain NAME"},
		{[]string{"kubectl-cargoship.exe", "explain", "--help"}, "kubectl cargoship explain NAME"},
		{[]string{"cargoship", "kubectl", "explain", "--help"}, "cargoship kubectl explain NAME"},
		{[]string{"/usr/bin/kubectl_complete-cargoship", "expl"}, "explain\tSay what limits"},
		{[]string{"cargoship", "__complete", "copy", "--storage-c"}, "--storage-class\tstorage class"},
		{[]string{"kubectl-cargoship", "__complete", "status", "-o", ""}, "yaml\n"},
		{[]string{"cargoship", "completion", "bash"}, "# bash completion"},
	} {
		got, err := output(t, tc.argv...)
		if err != nil || !strings.Contains(got, tc.want) {
			t.Errorf("%q prints no %q: %v\n%s", tc.argv, tc.want, err, got)
		}
	}
}

// What the plugin can do can be done without it.
func TestTheGroupHasTheCommandsOfThePlugin(t *testing.T) {
	for _, name := range names(newPlugin()) {
		if name != "version" && !slices.Contains(names(newClusterCommand()), name) {
			t.Errorf("cargoship kubectl has no %s", name)
		}
	}
}

func TestManualPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	if _, err := output(t, "cargoship", "man", dir); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"cargoship-copy.1", "cargoship-kubectl-status.1", "kubectl-cargoship-status.1"} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil || !strings.Contains(string(text), ".SH SYNOPSIS") {
			t.Errorf("%s: %v\n%s", page, err, text)
		}
	}
}
