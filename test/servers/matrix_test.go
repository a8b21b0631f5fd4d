package servers

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// testCase is a row of the matrix. It returns what the cell of the table says; a test that
// fails has no table.
type testCase struct {
	name string
	run  func(t *testing.T, r *rig) string
}

// yes is the cell of what simply works.
const yes = "yes"

func cases() []testCase {
	return []testCase{
		{"proof of storage", files},
		{"damaged in transit", damaged},
		{"odd names", oddNames},
		{"killed and rerun", resumed},
		{"interrupted", interrupted},
		{"interrupted while an upload is created", interruptedCreation},
		{"response to a creation lost", lostCreation},
		{"`--no-overwrite`", noOverwrite},
		{"`--sync size-and-time`", syncTime},
		{"`--sync checksum`", syncChecksum},
		{"packed: `verify`", verified},
		{"packed: `verify --read-back`, `restore`", restored},
		{"listings of several pages", pages},
		{"the finish pod aborts leftovers of workers", lastPod},
		{"metadata", metadata},
		{"`--storage-class NONSENSE`", nonsense},
	}
}

// cells of the table, by server and case; a server that was not run has none.
var cells = map[string]map[string]string{}

func TestServers(t *testing.T) {
	ran := 0
	for _, s := range all() {
		if chosen.only != "" && !s.called(chosen.only) || !chosen.full && chosen.only == "" && !s.light {
			continue
		}
		ran++
		t.Run(s.name, func(t *testing.T) {
			at := s.start(t)
			cells[s.name] = map[string]string{}
			for i, c := range cases() {
				t.Run(strings.ReplaceAll(c.name, "`", ""), func(t *testing.T) {
					cells[s.name][c.name] = c.run(t, newRig(t, at, fmt.Sprintf("case%02d", i)))
				})
			}
		})
	}
	if ran == 0 {
		t.Fatalf("no server is called %q", chosen.only)
	}
}

// page is the table.
func page() []byte {
	var b bytes.Buffer
	b.WriteString(introduction)
	b.WriteString("| |")
	for _, s := range all() {
		fmt.Fprintf(&b, " %s |", s.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(all())) + "\n| version |")
	for _, s := range all() {
		fmt.Fprintf(&b, " %s |", s.version())
	}
	b.WriteString("\n")
	for _, c := range cases() {
		fmt.Fprintf(&b, "| %s |", c.name)
		for _, s := range all() {
			fmt.Fprintf(&b, " %s |", strings.ReplaceAll(cells[s.name][c.name], "|", `\|`))
		}
		b.WriteString("\n")
	}
	b.WriteString(conclusion)
	return b.Bytes()
}
