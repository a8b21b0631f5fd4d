package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestNodesShareNoAddress(t *testing.T) {
	nodes, err := planNodes(mostNodes, "cargoship-test", "ca.crt", "/plugins", "127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		pods := netip.MustParsePrefix(n.Pods)
		if !netip.MustParsePrefix(podsRange).Overlaps(pods) || !netip.MustParsePrefix(nodesRange).Contains(netip.MustParseAddr(n.Address)) {
			t.Errorf("%s has the address %s and the pods %s, out of the ranges", n.Name, n.Address, n.Pods)
		}
		for _, other := range nodes[:i] {
			if netip.MustParsePrefix(other.Pods).Overlaps(pods) || other.Address == n.Address || other.CgroupRoot == n.CgroupRoot {
				t.Errorf("%s and %s share something: %+v, %+v", n.Name, other.Name, n, other)
			}
		}
	}
	for _, count := range []int{0, mostNodes + 1} {
		if _, err := planNodes(count, "", "", "", ""); err == nil {
			t.Errorf("%d nodes were planned, want an error", count)
		}
	}
}

func TestOpenTellsARecycledProcess(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without a state: %v, want ErrNotRunning", err)
	}
	started, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for ticks, want := range map[string]error{started: nil, started + "0": ErrNotRunning} {
		s := &State{dir: dir, PID: os.Getpid(), Started: ticks, Nodes: []string{"node-1"}}
		if err := s.record(); err != nil {
			t.Fatal(err)
		}
		got, err := Open(dir)
		if !errors.Is(err, want) {
			t.Errorf("a process started at %s, recorded as %s: %v, want %v", started, ticks, err, want)
		}
		if want == nil && (got == nil || got.Nodes[0] != "node-1") {
			t.Errorf("read back %+v", got)
		}
	}
}

func TestImageHoldsThePrograms(t *testing.T) {
	dir := t.TempDir()
	binary, path := filepath.Join(dir, "pause"), filepath.Join(dir, "pause.tar")
	build := exec.Command("go", "build", "-o", binary, "../pause")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	second := filepath.Join(dir, "second")
	if err := os.Link(binary, second); err != nil {
		t.Fatal(err)
	}
	if err := writeImage(path, imageName("pause", "test"), []string{binary, second}); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != nonRoot || config.Config.Entrypoint[0] != "/pause" || config.OS != "linux" {
		t.Errorf("the image's configuration is %+v of %s", config.Config, config.OS)
	}
	if layers, err := image.Layers(); err != nil || len(layers) != 2 {
		t.Errorf("%d layers for two programs: %v", len(layers), err)
	}
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeImage(path, imageName("script", "test"), []string{script}); err == nil {
		t.Error("a script became an image that holds no shell")
	}
}

func TestForwardPassesBothWays(t *testing.T) {
	server, client := listen(t), listen(t)
	go func() {
		connection, err := server.Accept()
		if err != nil {
			return
		}
		// Answers only once the other side has said all.
		all, _ := io.ReadAll(connection)
		_, _ = connection.Write(append([]byte("got "), all...))
		_ = connection.Close()
	}()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		forward(ctx, client, server.Addr().String())
	}()
	connection, err := net.Dial("tcp", client.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write([]byte("all")); err != nil {
		t.Fatal(err)
	}
	if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(connection); err != nil || string(got) != "got all" {
		t.Errorf("the answer is %q (error %v)", got, err)
	}
	cancel()
	<-done
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
