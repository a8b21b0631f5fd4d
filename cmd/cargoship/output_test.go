package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// What programs read says the same in JSON and in YAML, whichever command prints it.
func TestOutputForPrograms(t *testing.T) {
	d, dir := newDestination(t), t.TempDir()
	for _, name := range []string{"a", "b: '\n#", "c"} {
		write(t, dir, name, 1000)
	}
	if r := work(t, d.args(dir, "base", "--packing", "tar", "--prefixes", "1")...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	target := "s3://" + bucket + "/base"
	for name, args := range map[string][]string{
		"estimate": {"estimate", dir, "--packing", "tar"},
		"ls":       d.reported("ls", target),
		"verify":   d.reported("verify", target),
		"prune":    d.reported("prune", target, "--unreferenced"),
	} {
		t.Run(name, func(t *testing.T) {
			printed := func(o ...string) string {
				r := work(t, slices.Concat(args, o)...)
				if r.code != 0 {
					t.Fatalf("exit code %d: %s", r.code, r.stderr)
				}
				return r.stdout
			}
			lines, text := printed("-o", "json"), printed("-o", "yaml")
			if printed("--json") != lines {
				t.Error("--json is not -o json")
			}
			var fromJSON []any
			for decoder := json.NewDecoder(strings.NewReader(lines)); decoder.More(); {
				var one any
				if err := decoder.Decode(&one); err != nil {
					t.Fatal(err)
				}
				fromJSON = append(fromJSON, one)
			}
			var fromYAML any
			if err := yaml.Unmarshal([]byte(text), &fromYAML); err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			if name != "ls" {
				fromYAML = []any{fromYAML}
			}
			if diff := cmp.Diff(any(fromJSON), fromYAML); diff != "" || len(fromJSON) == 0 {
				t.Errorf("(-JSON +YAML)\n%s", diff)
			}
		})
	}
	copied := work(t, d.args(dir, "again", "-o", "yaml")...)
	var summary struct{ Files int }
	if err := yaml.UnmarshalStrict([]byte(copied.stdout), new(map[string]any)); err != nil || yaml.Unmarshal([]byte(copied.stdout), &summary) != nil || summary.Files != 3 {
		t.Errorf("copy -o yaml: %v, exit code %d in\n%s", err, copied.code, copied.stdout)
	}
	if r := work(t, "estimate", dir, "-o", "xml"); r.code != 2 || !strings.Contains(r.stderr, "json, yaml") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}
