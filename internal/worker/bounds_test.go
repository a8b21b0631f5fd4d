package worker

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/convert"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/internal/upload"
)

// The manager grants no more than it estimates the memory of the worker to hold, so it must
// estimate as the worker does.
func TestTheManagerEstimatesTheSameMemory(t *testing.T) {
	for limit := int64(1 << 20); limit <= 8<<30; limit += limit / 3 {
		u := upload.NewUploader(upload.UploaderOptions{MemoryLimit: limit / 100 * bodyShare})
		got, want := convert.MostInFlight(limit), u.MaxInFlight()
		if _, byFiles := u.BoundByFiles(); got != want && (!byFiles || got < want) {
			t.Errorf("of a limit of %d bytes the manager makes %d requests in flight, the worker %d", limit, got, want)
		}
	}
}

// A reason that the API does not know is shown as no more than WorkerBlocked.
func TestWhatBlocksAWorkerIsKnownToTheAPI(t *testing.T) {
	found := blockingReasons(t, filepath.Join("..", "s3"), filepath.Join("..", "upload"))
	if len(found) < 10 {
		t.Fatalf("only %d reasons were found: %v", len(found), found)
	}
	for _, reason := range slices.Sorted(maps.Keys(found)) {
		if !slices.Contains(v1alpha1.BlockedReasons(), reason) {
			t.Errorf("%s blocks a worker (%s) and is none of v1alpha1.BlockedReasons", reason, found[reason])
		}
	}
}

// blockingReasons reads from the source of packages which reasons they give together with a
// class that blocks, and where.
func blockingReasons(t *testing.T, dirs ...string) map[string]string {
	t.Helper()
	files := token.NewFileSet()
	var parsed []*ast.File
	for _, dir := range dirs {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%d files in %s: %v", len(names), dir, err)
		}
		for _, name := range names {
			f, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, "_test.go") {
				parsed = append(parsed, f)
			}
		}
	}
	values, found := map[string]string{}, map[string]string{}
	for _, f := range parsed {
		maps.Copy(values, constants(f))
	}
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			names := namesIn(n)
			blocks := slices.ContainsFunc(names, func(name string) bool {
				return name == "misconfigured" || s3.Class(values[name]).Blocks()
			})
			for _, name := range names {
				if blocks && strings.HasPrefix(name, "Reason") && values[name] != "" {
					found[values[name]] = files.Position(n.Pos()).String()
				}
			}
			return true
		})
	}
	return found
}

// constants are the texts that a file gives names.
func constants(f *ast.File) map[string]string {
	out := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, v := range spec.Values {
			if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				out[spec.Names[i].Name], _ = strconv.Unquote(literal.Value)
			}
		}
		return true
	})
	return out
}

// namesIn are the names that a call is made of, or a literal, or an assignment.
func namesIn(n ast.Node) []string {
	var parts []ast.Expr
	switch n := n.(type) {
	case *ast.CallExpr:
		parts = append([]ast.Expr{n.Fun}, n.Args...)
	case *ast.CompositeLit:
		parts = n.Elts
	case *ast.AssignStmt:
		parts = n.Rhs
	}
	var names []string
	for _, p := range parts {
		if field, ok := p.(*ast.KeyValueExpr); ok {
			p = field.Value
		}
		switch p := p.(type) {
		case *ast.Ident:
			names = append(names, p.Name)
		case *ast.SelectorExpr:
			names = append(names, p.Sel.Name)
		}
	}
	return names
}
