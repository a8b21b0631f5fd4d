package release

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Published is a release of CargoShip in the cluster's registry, and a directory of its files.
type Published struct {
	Dir, Version string
	// Images is what the names of its images begin with.
	Images string
}

// Publish makes a release for this machine's platform and pushes it to the cluster's registry.
// More are further arguments of the program that makes it.
func (l *Deployment) Publish(ctx context.Context, dir, version string, more ...string) (*Published, error) {
	p := &Published{Dir: dir, Version: version, Images: l.Cluster.Registry + "/cargoship"}
	args := append([]string{"--source", l.Root, "--tools", filepath.Join(l.Root, "bin", "tools"),
		"--out", dir, "--version", version, "--registry", p.Images}, more...)
	// What a test measures meanwhile goes first.
	args = append([]string{"-n", "19", filepath.Join(l.Root, "bin", "release")}, args...)
	out, err := exec.CommandContext(ctx, "nice", args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("make release %s (make bin/release builds the program): %w: %s", version, err, out)
	}
	return p, nil
}

// Digest is the digest by which the registry has one of the images.
func (p *Published) Digest(ctx context.Context, image string) (string, error) {
	host, path, _ := strings.Cut(p.Images, "/")
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+host+"/v2/"+path+"/"+image+"/manifests/"+p.Version, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", string(types.OCIImageIndex))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("look for the image %s of release %s: %w", image, p.Version, err)
	}
	defer func() { _ = response.Body.Close() }()
	digest := response.Header.Get("Docker-Content-Digest")
	if response.StatusCode != http.StatusOK || digest == "" {
		return "", fmt.Errorf("look for the image %s of release %s: the registry answers %s", image, p.Version, response.Status)
	}
	return digest, nil
}

// InstallPublished installs or upgrades the chart of a release from the registry, without any
// values, and waits until it is ready.
func (l *Deployment) InstallPublished(ctx context.Context, p *Published) error {
	_, err := l.Run(ctx, l.Helm, "upgrade", "--install", Release, "oci://"+p.Images+"/charts/cargoship", "--version", p.Version, "--plain-http",
		"--namespace", System, "--create-namespace", "--wait", "--timeout", "3m")
	return err
}
