package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.yaml.in/yaml/v3"
)

// chartDir is the chart's place in the source.
const chartDir = "charts/cargoship"

// Media types of a chart in a registry (helm.sh/docs/topics/registries).
const (
	chartConfigType  = "application/vnd.cncf.helm.config.v1+json"
	chartContentType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// packageChart packs the chart with the images of the release, by digest, into a file of dir,
// and returns its path. helm does it, so that it is what helm takes.
func packageChart(ctx context.Context, p *plan, images []multiImage, dir string) (string, error) {
	staged, err := os.MkdirTemp("", "cargoship-chart-")
	if err != nil {
		return "", fmt.Errorf("package the chart: %w", err)
	}
	defer func() { _ = os.RemoveAll(staged) }()
	if err := os.CopyFS(staged, os.DirFS(filepath.Join(p.source, chartDir))); err != nil {
		return "", fmt.Errorf("copy the chart: %w", err)
	}
	values := filepath.Join(staged, "values.yaml")
	text, err := os.ReadFile(values)
	if err != nil {
		return "", fmt.Errorf("read the chart's values: %w", err)
	}
	for _, image := range images {
		if key, ok := imageValues()[image.name]; ok {
			if text, err = pin(text, key, p.images+"/"+image.name, image.digest.String()); err != nil {
				return "", fmt.Errorf("pin the image %s in the chart's values: %w", image.name, err)
			}
		}
	}
	if err := os.WriteFile(values, text, 0o644); err != nil { //nolint:gosec // It is no secret.
		return "", fmt.Errorf("write the chart's values: %w", err)
	}
	if err := dateAll(staged, p.created); err != nil {
		return "", err
	}
	helm := exec.CommandContext(ctx, filepath.Join(p.tools, "helm"), "package", staged,
		"--version", p.version, "--app-version", p.version, "--destination", dir)
	if _, err := output(helm); err != nil {
		return "", fmt.Errorf("package the chart (make bin/tools/helm builds helm): %w", err)
	}
	return filepath.Join(dir, "cargoship-"+p.version+".tgz"), nil
}

// imageValues are the keys of the images in the chart's values.
func imageValues() map[string]string {
	return map[string]string{manager: "image", worker: "workerImage"}
}

// dateAll gives everything below a directory one time, which helm keeps.
func dateAll(dir string, at time.Time) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, at, at)
	})
}

// pin sets repository and digest of one image in the text of a values.yaml, whose comments
// and order remain.
func pin(values []byte, key, repository, digest string) ([]byte, error) {
	for field, value := range map[string]string{"repository": repository, "digest": digest} {
		var document yaml.Node
		if err := yaml.Unmarshal(values, &document); err != nil {
			return nil, err
		}
		node := lookUp(&document, key, field)
		if node == nil || node.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("they have no %s.%s", key, field)
		}
		lines := bytes.SplitAfter(values, []byte("\n"))
		line := lines[node.Line-1]
		old := []byte(node.Value)
		if node.Style&yaml.DoubleQuotedStyle != 0 {
			old = []byte(`"` + node.Value + `"`)
		}
		rest, ok := bytes.CutPrefix(line[node.Column-1:], old)
		if !ok {
			return nil, fmt.Errorf("%s.%s is not written on one line", key, field)
		}
		quoted, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		lines[node.Line-1] = bytes.Join([][]byte{line[:node.Column-1], quoted, rest}, nil)
		values = bytes.Join(lines, nil)
	}
	return values, nil
}

// lookUp is the value of a path of keys, or nil.
func lookUp(node *yaml.Node, path ...string) *yaml.Node {
	if node.Kind == yaml.DocumentNode {
		return lookUp(node.Content[0], path...)
	}
	if len(path) == 0 {
		return node
	}
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == path[0] {
			return lookUp(node.Content[i+1], path[1:]...)
		}
	}
	return nil
}

// chartArtifact is the packaged chart as a registry keeps it.
func chartArtifact(p *plan, packaged []byte) (v1.Image, error) {
	metadata, err := chartMetadata(packaged)
	if err != nil {
		return nil, fmt.Errorf("read the packaged chart: %w", err)
	}
	config, err := json.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	return newArtifact(blobs{
		configType: chartConfigType, config: config, content: chartContentType, blob: packaged,
		annotations: map[string]string{
			"org.opencontainers.image.title":       tool,
			"org.opencontainers.image.version":     p.version,
			"org.opencontainers.image.created":     p.created.Format(time.RFC3339),
			"org.opencontainers.image.description": fmt.Sprint(metadata["description"]),
		},
	})
}

// chartMetadata is the Chart.yaml of a packaged chart.
func chartMetadata(packaged []byte) (map[string]any, error) {
	unzipped, err := gzip.NewReader(bytes.NewReader(packaged))
	if err != nil {
		return nil, err
	}
	for in := tar.NewReader(unzipped); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it has no Chart.yaml")
		}
		if err != nil {
			return nil, err
		}
		if header.Name != tool+"/Chart.yaml" {
			continue
		}
		text, err := io.ReadAll(in)
		if err != nil {
			return nil, err
		}
		var metadata map[string]any
		err = yaml.Unmarshal(text, &metadata)
		return metadata, err
	}
}
