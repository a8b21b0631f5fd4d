package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// TestTheCommandLineIsOfEveryPlatform checks the types of our packages as they are on each
// platform, which takes a fraction of the time of a build. Of other modules it reads the
// declarations only.
func TestTheCommandLineIsOfEveryPlatform(t *testing.T) {
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.SplitSeq(allPlatforms, ",") {
		system, architecture, _ := strings.Cut(word, "/")
		t.Run(word, func(t *testing.T) {
			loaded, err := packages.Load(&packages.Config{
				Dir: root, Context: t.Context(),
				Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
					packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesSizes,
				Env: append(os.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=0", "GOWORK=off"),
				ParseFile: func(files *token.FileSet, name string, text []byte) (*ast.File, error) {
					return parse(files, root, name, text)
				},
			}, "./cmd/"+tool)
			if err != nil {
				t.Fatal(err)
			}
			ours := 0
			packages.Visit(loaded, nil, func(p *packages.Package) {
				if !strings.HasPrefix(p.PkgPath, modulePath) {
					return
				}
				ours++
				for _, problem := range p.Errors {
					t.Error(problem)
				}
			})
			if ours < 10 {
				t.Errorf("only %d packages of ours were checked", ours)
			}
		})
	}
}

// parse parses a file; of one that is not ours it drops the bodies of functions.
func parse(files *token.FileSet, root, name string, text []byte) (*ast.File, error) {
	file, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	if err != nil || strings.HasPrefix(name, root+string(filepath.Separator)) {
		return file, err
	}
	for _, declaration := range file.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok {
			function.Body = nil
		}
	}
	return file, nil
}
