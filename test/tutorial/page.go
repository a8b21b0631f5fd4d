package tutorial

import (
	"fmt"
	"regexp"
	"strings"
)

// step is a command and what the page promises that it prints.
type step struct {
	line    int
	command string
	want    []string
}

// block is a terminal session of the page. The first one runs until the end.
type block []step

// fence begins a block of commands.
const fence = "```console"

// read finds the blocks of a page.
func read(page string) ([]block, error) {
	var blocks []block
	lines := strings.Split(page, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] != fence {
			continue
		}
		var b block
		for i++; i < len(lines) && lines[i] != "```"; i++ {
			command, is := strings.CutPrefix(lines[i], "$ ")
			switch {
			case is:
				at := i + 1
				for strings.Contains(command, "<<EOF") && i+1 < len(lines) && !strings.HasSuffix(command, "\nEOF") {
					i++
					command += "\n" + lines[i]
				}
				b = append(b, step{line: at, command: command})
			case len(b) == 0:
				return nil, fmt.Errorf("line %d: %q comes before any command", i+1, lines[i])
			default:
				b[len(b)-1].want = append(b[len(b)-1].want, lines[i])
			}
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// wild stands for any text in a line, or alone on it for any lines.
const wild = "…"

// matches tells whether an output is as promised.
func matches(want []string, got string) bool {
	var pattern strings.Builder
	pattern.WriteString(`\A`)
	for _, line := range want {
		if line == wild {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		for i, part := range strings.Split(line, wild) {
			if i > 0 {
				pattern.WriteString(`.*`)
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString(`[ \t]*\n`)
	}
	pattern.WriteString(`\z`)
	return regexp.MustCompile(pattern.String()).MatchString(got)
}
