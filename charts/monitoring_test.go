package charts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestPrometheusTakesAlertsAndPanels has promtool read the rules as the chart makes them,
// and the dashboard's queries as if they were rules.
func TestPrometheusTakesAlertsAndPanels(t *testing.T) {
	objects := raw(t, template(t, everything()...))
	spec, err := yaml.Marshal(objects["PrometheusRule/cargoship"].Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := unstructured.NestedString(objects["ConfigMap/cargoship-dashboard"].Object, "data", "cargoship.json")
	panels, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "panels", "rules": panelRules(t, text)}}})
	if err != nil {
		t.Fatal(err)
	}
	known := string(read(t, "../docs/metrics.md"))
	for name, rules := range map[string][]byte{"alerts.yaml": spec, "panels.yaml": panels} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, rules, 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, nil, promtool(t), "check", "rules", "--lint=none", file)
		for _, metric := range regexp.MustCompile(`cargoship_\w+`).FindAllString(string(rules), -1) {
			if !strings.Contains(known, "`"+strings.TrimSuffix(metric, "_bucket")+"`") {
				t.Errorf("%s asks for %s, which docs/metrics.md does not list", name, metric)
			}
		}
	}
}

// panelRules are the queries of a dashboard in the form of rules.
func panelRules(t *testing.T, text string) []any {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(text), &dashboard); err != nil {
		t.Fatal(err)
	}
	var rules []any
	for _, panel := range dashboard.Panels {
		for i, target := range panel.Targets {
			rules = append(rules, map[string]any{
				"record": fmt.Sprintf("panel_%d_%d", len(rules), i),
				"expr":   strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"),
			})
		}
	}
	if len(rules) < 10 {
		t.Fatalf("found only the queries %v", rules)
	}
	return rules
}

// promtool is the path of that program.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../bin/tools/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; make bin/tools/promtool builds it", err)
	}
	return path
}

// TestAlertsFireOnWhatTheyAreFor runs the alerts' unit tests, and misses none of them
// there nor in the runbook.
func TestAlertsFireOnWhatTheyAreFor(t *testing.T) {
	run(t, nil, promtool(t), "test", "rules", "rules_test.yaml")
	var tests struct {
		Tests []struct {
			Alerts []struct {
				Name   string `json:"alertname"`
				Expect []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	if err := yaml.Unmarshal(read(t, "rules_test.yaml"), &tests); err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{}
	for _, test := range tests.Tests {
		for _, alert := range test.Alerts {
			fires[alert.Name] = fires[alert.Name] || len(alert.Expect) > 0
		}
	}
	runbook := string(read(t, "../docs/operations.md"))
	for _, alert := range alerts(t) {
		if !fires[alert] {
			t.Errorf("no test in rules_test.yaml in which %s fires", alert)
		}
		if !strings.Contains(runbook, "| `"+alert+"` |") {
			t.Errorf("docs/operations.md has no row for %s", alert)
		}
	}
}

// alerts are the names of all alerts.
func alerts(t *testing.T) []string {
	t.Helper()
	var rules struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal(read(t, "cargoship/files/rules.yaml"), &rules); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
		}
	}
	if len(names) == 0 {
		t.Fatal("found no alert")
	}
	return names
}
