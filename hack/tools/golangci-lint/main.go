// Command golangci-lint is golangci-lint with kube-api-linter compiled in.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"
	_ "sigs.k8s.io/kube-api-linter" // registers the linter "kubeapilinter"
)

func main() {
	// The version must look like one: the configuration schema is chosen by it.
	err := commands.Execute(commands.BuildInfo{Version: "2.15.0", GoVersion: runtime.Version(), Commit: "pinned", Date: "unknown"})
	if err != nil {
		fmt.Fprintf(os.Stderr, "golangci-lint: %v\n", err)
		os.Exit(exitcodes.Failure)
	}
}
