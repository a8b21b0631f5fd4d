package assets

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEnsureTakesWhatIsGiven(t *testing.T) {
	given := t.TempDir()
	for _, name := range all() {
		program(t, given, name)
	}
	t.Setenv(EnvAssets, given)
	var log strings.Builder
	got, err := Ensure(t.Context(), Options{Root: repository(t), Log: &log})
	if err != nil || got != given {
		t.Errorf("Ensure gave %q (error %v), want %q", got, err, given)
	}
	if !strings.Contains(log.String(), EnvAssets) {
		t.Errorf("Ensure said %q, want the way taken", log.String())
	}
}

func TestEnsureTakesTheCache(t *testing.T) {
	t.Setenv(EnvAssets, "")
	root := repository(t)
	f, err := newFinder(Options{Root: root}, controlPlaneModules())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all() {
		program(t, f.cache, name)
	}
	got, err := Ensure(t.Context(), Options{Root: root})
	if err != nil || got != f.cache {
		t.Errorf("Ensure gave %q (error %v), want %q", got, err, f.cache)
	}
}

func TestNodesAreCachedApart(t *testing.T) {
	root := repository(t)
	f, err := newFinder(Options{Root: root}, nodeModules())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ControllerManager, Scheduler, Kubelet, Proxy, DNS} {
		program(t, f.cache, name)
	}
	got, err := EnsureNode(t.Context(), Options{Root: root})
	if err != nil || got != f.cache {
		t.Errorf("EnsureNode gave %q (error %v), want %q", got, err, f.cache)
	}
	if lacking := missing(got, all()); len(lacking) != len(all()) {
		t.Errorf("a directory for nodes lacks only %q of the control plane's programs", lacking)
	}
}

func TestEnsureAddsWhatAnArchiveLacks(t *testing.T) {
	root := repository(t)
	f, err := newFinder(Options{Root: root}, controlPlaneModules())
	if err != nil {
		t.Fatal(err)
	}
	program(t, f.cache, Controllers)
	program(t, f.cache, S3Server)
	given := t.TempDir()
	for _, name := range fetchable() {
		program(t, given, name)
	}
	t.Setenv(EnvAssets, given)
	got, err := Ensure(t.Context(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{APIServer: given, S3Server: f.cache} {
		if target, err := os.Readlink(filepath.Join(got, name)); err != nil || target != filepath.Join(dir, name) {
			t.Errorf("%s leads to %q (error %v), want the one in %s", name, target, err, dir)
		}
	}
	if lacking := missing(f.cache, fetchable()); len(lacking) != len(fetchable()) {
		t.Errorf("the cache lacks only %q; it must not hold what was given", lacking)
	}
}

func TestVersionKeyFollowsEveryPin(t *testing.T) {
	root := repository(t)
	key := func() string {
		f, err := newFinder(Options{Root: root}, controlPlaneModules())
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Base(f.cache)
	}
	first := key()
	if !strings.HasPrefix(first, "v1.37.2-") {
		t.Errorf("the cache is named %q, want the Kubernetes version in front", first)
	}
	pin(t, root, "etcd", "require go.etcd.io/etcd/server/v3 v3.9.9\n")
	if second := key(); second == first {
		t.Errorf("the cache is still named %q after a change of etcd's version", second)
	}
}

// TestWhatIsPinnedStillIsNotBuiltAgain changes the pin of one program and expects the others
// to be taken from where they were built.
func TestWhatIsPinnedStillIsNotBuiltAgain(t *testing.T) {
	root := repository(t)
	before, err := newFinder(Options{Root: root}, controlPlaneModules())
	if err != nil {
		t.Fatal(err)
	}
	for name, module := range map[string]string{Etcd: "etcd", APIServer: "kubernetes", Controllers: "kubernetes", S3Server: "versitygw"} {
		program(t, before.cache, name)
		digest, err := before.moduleDigest(module)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(before.cache, name+pinSuffix), []byte(digest), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pin(t, root, "etcd", "require go.etcd.io/etcd/server/v3 v3.9.9\n")
	after, err := newFinder(Options{Root: root}, controlPlaneModules())
	if err != nil {
		t.Fatal(err)
	}
	if err := after.adopt(servers()); err != nil {
		t.Fatal(err)
	}
	if got, want := missing(after.cache, servers()), []string{Etcd}; after.cache == before.cache || !slices.Equal(got, want) {
		t.Errorf("after a change of etcd's version %q is to be built in %s, want %q", got, after.cache, want)
	}
}

func TestOwnSourceIsPartOfTheVersion(t *testing.T) {
	root := repository(t)
	f, err := newFinder(Options{Root: root}, controlPlaneModules())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.moduleDir("kubernetes"), "main.go"), []byte("package main\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	changed, err := newFinder(Options{Root: root}, controlPlaneModules())
	if err != nil || changed.cache == f.cache {
		t.Errorf("the cache is still %s after a change of our source (error %v)", changed.cache, err)
	}
}

func TestWorkTellsWhatIsLeft(t *testing.T) {
	w := &work{weights: map[string]int64{"a": 30, "b/c": 60, "d": 10}, total: 100}
	for _, step := range []struct{ output, want string }{
		{"", "begun"},
		{"a\n", "30 %, about 1m10s left"},
		{"b/", "30 %, about 1m10s left"},
		{"c\n# d\nd.go:1: no such thing\n", "90 %, about 3s left"},
		{"d\n", "linking"},
	} {
		if _, err := w.Write([]byte(step.output)); err != nil {
			t.Fatal(err)
		}
		if got := w.left(30 * time.Second); got != step.want {
			t.Errorf("after %q it says %q, want %q", step.output, got, step.want)
		}
	}
	if got, want := w.String(), "# d\nd.go:1: no such thing"; got != want {
		t.Errorf("it complains of %q, want %q", got, want)
	}
}

func TestMissingSeesWhatCannotRun(t *testing.T) {
	dir := t.TempDir()
	program(t, dir, Etcd)
	if err := os.WriteFile(filepath.Join(dir, Kubectl), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, APIServer), 0o755); err != nil {
		t.Fatal(err)
	}
	got := missing(dir, []string{Etcd, Kubectl, APIServer, S3Server})
	if want := []string{Kubectl, APIServer, S3Server}; !slices.Equal(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	f := &finder{log: &strings.Builder{}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := f.run(ctx, exec.Command("sleep", "60"), saying("sleeping"))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 30*time.Second {
		t.Errorf("run ended after %s with %v, want the end of its context", time.Since(begin), err)
	}
}

func TestRunTellsTheEndOfTheOutput(t *testing.T) {
	f := &finder{log: &strings.Builder{}}
	err := f.run(t.Context(), exec.Command("sh", "-c", "seq 10000; echo no such module >&2; exit 1"), saying("failing"))
	if err == nil || !strings.HasSuffix(err.Error(), "no such module") || len(err.Error()) > 2*tailBytes {
		t.Errorf("run failed with %v, want the end of the output", err)
	}
}

// repository makes the part of a repository that Ensure reads.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	pin(t, root, "etcd", "require go.etcd.io/etcd/server/v3 v3.7.3\n")
	pin(t, root, "kubernetes", "require k8s.io/kubernetes v1.37.2\n")
	pin(t, root, "versitygw", "require github.com/versity/versitygw v1.8.0\n")
	pin(t, root, "node", "require k8s.io/kubernetes v1.37.2\n")
	pin(t, root, "coredns", "require github.com/coredns/coredns v1.15.0\n")
	return root
}

func pin(t *testing.T, root, module, text string) {
	t.Helper()
	dir := filepath.Join(root, "hack", "controlplane", module)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// program puts an executable file into a directory.
func program(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
