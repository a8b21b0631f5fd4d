package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// modulePath is the product's.
const modulePath = "cargoship.dev/operator"

// Names of the product's programs.
const (
	manager = "manager"
	worker  = "worker"
	tool    = "cargoship"
)

// program is one of the product's, built for a platform.
type program struct {
	name     string
	platform v1.Platform
	path     string
}

// fileName is the program's name on its platform.
func (p program) fileName() string {
	if p.platform.OS == "windows" {
		return p.name + ".exe"
	}
	return p.name
}

// programs are those of one platform: the command line, and where images are made what
// they hold.
func programs(platform v1.Platform) []string {
	if ofImages(platform) {
		return []string{manager, worker, tool}
	}
	return []string{tool}
}

// build builds every program of every platform below a directory.
func build(ctx context.Context, p *plan, dir string) ([]program, error) {
	var built []program
	for _, platform := range p.platforms {
		say("building for %s", platform)
		target := filepath.Join(dir, platform.OS+"_"+platform.Architecture)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return nil, fmt.Errorf("build for %s: %w", platform, err)
		}
		names := programs(platform)
		if _, err := output(buildCommand(ctx, p, platform, target, names)); err != nil {
			return nil, fmt.Errorf("build for %s: %w", platform, err)
		}
		for _, name := range names {
			one := program{name: name, platform: platform}
			one.path = filepath.Join(target, one.fileName())
			built = append(built, one)
		}
	}
	return built, nil
}

// buildCommand leaves nothing to the machine that could change a program: neither paths nor
// settings of the one who builds.
func buildCommand(ctx context.Context, p *plan, platform v1.Platform, target string, names []string) *exec.Cmd {
	args := []string{"build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X " + modulePath + "/internal/cli.release=v" + p.version + " -X " + modulePath + "/internal/cli.revision=" + p.revision,
		"-o", target + string(filepath.Separator)}
	for _, name := range names {
		args = append(args, "./cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = p.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off",
		"GOOS="+platform.OS, "GOARCH="+platform.Architecture, "GOAMD64=v1", "GOARM64=v8.0")
	return cmd
}
