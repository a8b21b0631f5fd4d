package config_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// TestSecurityPageNamesEveryRight compares the manager's roles with the tables that
// explain them.
func TestSecurityPageNamesEveryRight(t *testing.T) {
	for file, heading := range map[string]string{"rbac/role.yaml": "\n## Manager\n", "populator/role.yaml": "\n### Populated claims\n"} {
		compareRights(t, file, heading)
	}
}

// compareRights compares a role with the table below a heading.
func compareRights(t *testing.T, file, heading string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := yaml.Unmarshal(text, &role); err != nil {
		t.Fatal(err)
	}
	want := rights{}
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			want.add(resource, rule.Verbs...)
		}
	}
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), heading)
	section, _, _ = strings.Cut(section, "\n## ")
	section, _, _ = strings.Cut(section, "\n### ")
	if diff := cmp.Diff(want, rightsOf(section)); diff != "" {
		t.Errorf("docs/security.md and the manager's role in %s differ (-role +page):\n%s", file, diff)
	}
}

// rights are verbs by resource.
type rights map[string][]string

func (r rights) add(resource string, verbs ...string) {
	all := slices.Concat(r[resource], verbs)
	slices.Sort(all)
	r[resource] = slices.Compact(all)
}

// rightsOf reads the rows of a table: resources, verbs, why.
func rightsOf(section string) rights {
	out := rights{}
	names := regexp.MustCompile("`([a-z/]+)`")
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		for _, name := range names.FindAllStringSubmatch(cells[1], -1) {
			out.add(name[1], strings.Split(strings.TrimSpace(cells[2]), ", ")...)
		}
	}
	return out
}
