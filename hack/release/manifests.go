package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.yaml.in/yaml/v3"
)

// installManifest is config/default with the images of the release, by digest.
func installManifest(ctx context.Context, p *plan, images []multiImage) ([]byte, error) {
	text, err := output(exec.CommandContext(ctx, filepath.Join(p.tools, "kustomize"), "build", filepath.Join(p.source, "config", "default")))
	if err != nil {
		return nil, fmt.Errorf("make install.yaml (make bin/tools/kustomize builds kustomize): %w", err)
	}
	for _, image := range images {
		if _, ok := imageValues()[image.name]; !ok {
			continue
		}
		old := []byte(chartImages + "/" + image.name + ":latest")
		if n := bytes.Count(text, old); n != 1 {
			return nil, fmt.Errorf("make install.yaml: config/default names the image %s %d times, not once", old, n)
		}
		text = bytes.Replace(text, old, []byte(p.pinned(image)), 1)
	}
	return text, nil
}

// pinned is how a cluster names an image of the release.
func (p *plan) pinned(image multiImage) string {
	return p.images + "/" + image.name + ":" + p.version + "@" + image.digest.String()
}

// The manifest of a kubectl plugin (krew.sigs.k8s.io/docs/developer-guide/plugin-manifest).
type (
	krewPlugin struct {
		APIVersion string       `yaml:"apiVersion"`
		Kind       string       `yaml:"kind"`
		Metadata   krewMetadata `yaml:"metadata"`
		Spec       krewSpec     `yaml:"spec"`
	}
	krewMetadata struct {
		Name string `yaml:"name"`
	}
	krewSpec struct {
		Version          string         `yaml:"version"`
		Homepage         string         `yaml:"homepage"`
		ShortDescription string         `yaml:"shortDescription"`
		Description      string         `yaml:"description"`
		Platforms        []krewPlatform `yaml:"platforms"`
	}
	krewPlatform struct {
		Selector krewSelector `yaml:"selector"`
		URI      string       `yaml:"uri"`
		SHA256   string       `yaml:"sha256"`
		Bin      string       `yaml:"bin"`
		Files    []krewFile   `yaml:"files"`
	}
	krewSelector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	krewFile struct {
		From string `yaml:"from"`
		To   string `yaml:"to"`
	}
)

// packed is an archive of the command line for one platform.
type packed struct {
	platform v1.Platform
	// file is the archive's name, bin that of the program in it.
	file, bin, sha256 string
}

// krewManifest is what `kubectl krew install` reads.
func krewManifest(p *plan, archives []packed) ([]byte, error) {
	plugin := krewPlugin{
		APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin",
		Metadata: krewMetadata{Name: tool},
		Spec: krewSpec{
			Version: "v" + p.version, Homepage: project, ShortDescription: "Show and change transfers of CargoShip",
			Description: "Shows how the ArchiveTransfers and ArchiveRestores of a cluster go and what limits them,\n" +
				"suspends, resumes and retries them, merges the logs of their pods, lists, verifies and\n" +
				"restores what they have archived.\n",
		},
	}
	for _, archive := range archives {
		plugin.Spec.Platforms = append(plugin.Spec.Platforms, krewPlatform{
			Selector: krewSelector{MatchLabels: map[string]string{"os": archive.platform.OS, "arch": archive.platform.Architecture}},
			URI:      p.downloads + "/" + archive.file, SHA256: archive.sha256, Bin: archive.bin,
			Files: []krewFile{{From: archive.bin, To: "."}, {From: "LICENSE", To: "."}},
		})
	}
	return yaml.Marshal(plugin)
}

// writeSchemas copies the JSON schemas of our kinds, for editors and linters.
func writeSchemas(p *plan, dir string) error {
	files, err := filepath.Glob(filepath.Join(p.source, "docs", "schemas", "crd", "*.json"))
	if err == nil && len(files) == 0 {
		err = errors.New("docs/schemas/crd has none; make manifests writes them")
	}
	if err != nil {
		return fmt.Errorf("copy the schemas of the CRDs: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "schemas"), 0o755); err != nil { //nolint:gosec // Everybody may read a release.
		return fmt.Errorf("copy the schemas of the CRDs: %w", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("copy the schemas of the CRDs: %w", err)
		}
		if err := writeFile(dir, filepath.Join("schemas", filepath.Base(file)), content); err != nil {
			return err
		}
	}
	return nil
}
