package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// nonRoot is the user of every image, as in the Dockerfile.
const nonRoot = "65532:65532"

// imageName is the name of the image of one of our programs.
func imageName(program, tag string) string { return "cargoship/" + program + ":" + tag }

// images writes an image of each program as DIR/PROGRAM-TAG.tar and returns the paths.
func images(ctx context.Context, root, dir, tag string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create the directory of images: %w", err)
	}
	pause := filepath.Join(dir, "pause")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", pause, "./test/cluster/pause")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build pause: %w: %s", err, out)
	}
	var paths []string
	bin := filepath.Join(root, "bin")
	for program, binaries := range map[string][]string{
		"pause": {pause}, "manager": {filepath.Join(bin, "manager")}, "worker": {filepath.Join(bin, "worker"), filepath.Join(bin, "cargoship")},
	} {
		path := filepath.Join(dir, program+"-"+tag+".tar")
		if err := writeImage(path, imageName(program, tag), binaries); err != nil {
			return nil, fmt.Errorf("make the image of %v (make build makes the programs): %w", binaries, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// writeImage writes an image that holds static programs, the first of which it runs.
func writeImage(path, ref string, binaries []string) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	image := empty.Image
	for _, binary := range binaries {
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return programLayer(binary) })
		if err != nil {
			return err
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return err
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{User: nonRoot, Entrypoint: []string{"/" + filepath.Base(binaries[0])}}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, image)
}

// programLayer is a file system with one executable in it, which must need no other.
func programLayer(binary string) (io.ReadCloser, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	libraries, err := program.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	if len(libraries) > 0 {
		return nil, fmt.Errorf("it needs the libraries %v; build it with CGO_ENABLED=0", libraries)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	header := &tar.Header{Name: filepath.Base(binary), Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return io.NopCloser(&layer), nil
}
