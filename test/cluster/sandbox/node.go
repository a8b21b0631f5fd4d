package sandbox

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"cargoship.dev/operator/test/kit/assets"
)

//go:embed files
var files embed.FS

const (
	// poll is the time between two looks at something awaited.
	poll = 200 * time.Millisecond
	// diskName is the disk that a kubelet keeps its pods' directories and logs on. It
	// has bounds, so that it can be filled without harm to anything else.
	diskName, diskSize = "disk", "256m"
)

// startNode starts a node's containerd, imports the images, and starts its kubelet
// and kube-proxy. They run until ctx ends; startup bounds the start.
func (s *server) startNode(ctx, startup context.Context, n node) error {
	if err := s.configure(startup, n); err != nil {
		return err
	}
	if err := makeCgroups(n.CgroupRoot); err != nil {
		return err
	}
	within := func(argv ...string) []string {
		return append([]string{"nsenter", "--net=/run/netns/" + n.Name, "--"}, argv...)
	}
	path := func(name string) string { return filepath.Join(inside, n.Name, name) }
	s.keep(ctx, n.Name+"-containerd", within("containerd", "--config", path("containerd.toml"))...)
	if err := awaitContainerd(startup, n); err != nil {
		return err
	}
	for _, image := range s.setup.Images {
		if err := run(startup, "ctr", "--address", n.Socket, "--namespace", "k8s.io", "images", "import", image); err != nil {
			return fmt.Errorf("import an image: %w", err)
		}
	}
	s.keep(ctx, n.Name+"-kubelet", within(filepath.Join(s.setup.NodeAssets, assets.Kubelet),
		"--config="+path("kubelet.yaml"), "--kubeconfig="+path("kubelet.kubeconfig"), "--root-dir="+path(diskName+"/kubelet"),
		"--cert-dir="+path("pki"), "--hostname-override="+n.Name, "--node-ip="+n.Address)...)
	s.keep(ctx, n.Name+"-kube-proxy", within(filepath.Join(s.setup.NodeAssets, assets.Proxy), "--config="+path("kube-proxy.yaml"))...)
	return nil
}

// configure writes the files that the node's programs read.
func (s *server) configure(ctx context.Context, n node) error {
	dir := filepath.Join(inside, n.Name)
	for _, sub := range []string{"net.d", diskName} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return fmt.Errorf("create its directories: %w", err)
		}
	}
	if err := run(ctx, "mount", "-t", "tmpfs", "-o", "mode=755,size="+diskSize, n.Name+"-disk", filepath.Join(dir, diskName)); err != nil {
		return fmt.Errorf("mount its disk: %w", err)
	}
	for file, path := range map[string]string{
		"containerd.toml": "containerd.toml", "network.conflist": "net.d/10-pods.conflist",
		"kubelet.yaml": "kubelet.yaml", "kube-proxy.yaml": "kube-proxy.yaml",
	} {
		if err := render(file, filepath.Join(dir, path), n); err != nil {
			return err
		}
	}
	if err := knowRegistry(n); err != nil {
		return err
	}
	if err := s.control.UserKubeconfig(filepath.Join(dir, "kubelet.kubeconfig"), "system:node:"+n.Name, "system:nodes"); err != nil {
		return err
	}
	return s.control.UserKubeconfig(filepath.Join(dir, "kube-proxy.kubeconfig"), "system:kube-proxy")
}

// render fills in one of the embedded files.
func render(name, path string, data any) error {
	parsed, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return fmt.Errorf("read the template %s: %w", name, err)
	}
	var text bytes.Buffer
	if err := parsed.Option("missingkey=error").Execute(&text, data); err != nil {
		return fmt.Errorf("fill in %s: %w", name, err)
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// awaitContainerd waits until it answers.
func awaitContainerd(ctx context.Context, n node) error {
	for {
		err := run(ctx, "ctr", "--address", n.Socket, "--connect-timeout", "2s", "version")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for containerd: %w", err)
		case <-time.After(poll):
		}
	}
}
