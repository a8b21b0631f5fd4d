package congestion_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each constant of the law is in the table of docs/control-law.md, with a unit and what it
// rests on, and the table has no others.
func TestConstantsAreInTheTable(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "control-law.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(page), "\n## Constants\n")
	if !found {
		t.Fatal("docs/control-law.md has no chapter on constants")
	}
	table, _, _ := strings.Cut(rest, "\n## ")
	listed := map[string]bool{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 6 && strings.HasPrefix(cells[1], " `") {
			name := strings.Trim(cells[1], " `")
			listed[name] = true
			if strings.TrimSpace(cells[3]) == "" || strings.TrimSpace(cells[4]) == "" {
				t.Errorf("the table does not say of %s what it rests on", name)
			}
		}
	}
	for name := range constants(t) {
		if !listed[name] {
			t.Errorf("the constant %s is not in the table", name)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("the table has %s, which is no constant of the law", name)
	}
}

// constants are those with a number of the law's code; reasons, groups' names and mechanisms
// are words.
func constants(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{"LargeInterval": true} // of package protocol
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, filepath.Join("..", "active.go"))
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "ablation.go" || file == "reason.go" {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if d, ok := n.(*ast.GenDecl); ok && d.Tok == token.CONST {
				for _, spec := range d.Specs {
					add(all, spec.(*ast.ValueSpec))
				}
			}
			return true
		})
	}
	return all
}

func add(all map[string]bool, spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if _, other := spec.Values[i].(*ast.Ident); other {
			continue // another name of a constant
		}
		if literal, ok := spec.Values[i].(*ast.BasicLit); !ok || literal.Kind != token.STRING {
			all[name.Name] = true
		}
	}
}
