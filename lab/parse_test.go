package lab

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	skew := -time.Minute
	got, err := Parse("c.yaml", []byte(`
seed: 7
partitions: [{keys: "data/??", requestsPerSecond: 400}]
serviceTime: {median: 100ms, p99: 1s}
faults:
- {kind: ResetRequest, share: 0.01, operations: [UploadPart], most: 3}
without: [Trailers]
schedule:
- at: 10s
  blackout: Silent
- at: 12s
  blackout: None
  clockSkew: -1m
`))
	want := Plan{
		Seed: 7,
		Conditions: Conditions{
			Partitions:  []Partition{{Keys: "data/??", RequestsPerSecond: 400}},
			ServiceTime: &ServiceTime{Median: 100 * time.Millisecond, P99: time.Second},
			Faults:      []Fault{{Kind: ResetRequest, Share: 0.01, Operations: []string{"UploadPart"}, Most: 3}},
			Without:     []Feature{Trailers},
		},
		Schedule: []Step{
			{At: 10 * time.Second, Conditions: Conditions{Blackout: Silent}},
			{At: 12 * time.Second, Conditions: Conditions{Blackout: NoBlackout, ClockSkew: &skew}},
		},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, plan (-want +got):\n%s", err, diff)
	}
	if _, err := Parse("empty.yaml", nil); err != nil {
		t.Errorf("an empty file: %v, want no conditions", err)
	}
}

func TestParseNamesFileLineAndField(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown field", "seed: 1\npartition: []\n", "c.yaml:2: partition: no such field"},
		{"type", "seed: 1\nserviceTime:\n  median: soon\n", "c.yaml:3: cannot unmarshal"},
		{"syntax", "seed: [\n", "c.yaml:"},
		{"rate", "partitions:\n- {keys: a, requestsPerSecond: 1}\n- keys: b\n  requestsPerSecond: -1\n",
			"c.yaml:4: partitions[1].requestsPerSecond: must be above 0"},
		{"absent", "partitions:\n- {keys: a, requestsPerSecond: 1}\n- keys: b\n", "c.yaml:3: partitions[1].requestsPerSecond: must be above 0"},
		{"kind", "faults:\n- share: 1\n  kind: Gremlin\n", `c.yaml:3: faults[0].kind: "Gremlin" is none of`},
		{"share", "faults:\n- kind: SlowDown\n  share: 2\n", "c.yaml:3: faults[0].share: must be from 0 to 1"},
		{"operation", "faults:\n- kind: SlowDown\n  operations:\n  - PutObject\n  - Put\n", `c.yaml:5: faults[0].operations[1]: "Put" is none of`},
		{"feature", "without: [SHA1]\n", `c.yaml:1: without[0]: "SHA1" is none of`},
		{"schedule", "schedule:\n- at: 2s\n- at: 1s\n", "c.yaml:3: schedule[1].at: must not be before"},
		{"step", "schedule:\n- at: 2s\n  blackout: Dark\n", `c.yaml:3: schedule[0].blackout: "Dark" is none of`},
		{"p99", "serviceTime:\n  median: 2s\n  p99: 1s\n", "c.yaml:3: serviceTime.p99: must be above a median"},
		{"documents", "seed: 1\n---\nseed: 2\n", "c.yaml: more than one document"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Parse("c.yaml", []byte(c.text)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("error %v, want %s…", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("partitions: [{keys: a*, requestsPerSecond: 1}]\nschedule: [{at: 1s, blackout: Silent}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		plan, err := Parse("f", text)
		if err != nil {
			return
		}
		// Whatever is taken can be put in force.
		l := New(Options{Plan: plan})
		for _, s := range plan.Schedule {
			l.Set(plan.changed(s.Conditions))
		}
	})
}

func TestTheDocumentedExampleIsValid(t *testing.T) {
	page, err := os.ReadFile("../docs/lab.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if plan, err := Parse("docs/lab.md", []byte(example)); !found || err != nil || len(plan.Schedule) != 2 {
		t.Errorf("example found: %v, error %v, plan %+v", found, err, plan)
	}
}
