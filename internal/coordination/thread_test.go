package coordination_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// `make test` runs these packages without the race detector, which would have nothing to see: neither they nor
// their tests start a goroutine, or know how to wait for one.
func TestEverythingIsDoneByOneThread(t *testing.T) {
	files := token.NewFileSet()
	for _, dir := range []string{".", "../sim/baseline"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if n != nil && concurrent(n) {
					t.Errorf("%s has a %T: test its package with the race detector (Makefile, ONE_THREAD)", files.Position(n.Pos()), n)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// concurrent tells whether something starts a goroutine, or is of use only beside one.
func concurrent(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt, *ast.ChanType:
		return true
	case *ast.SelectorExpr:
		return n.Sel.Name == "Parallel"
	case *ast.ImportSpec:
		return strings.HasPrefix(n.Path.Value, `"sync`) || n.Path.Value == `"testing/synctest"`
	}
	return false
}
