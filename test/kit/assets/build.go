package assets

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cargoship.dev/operator/test/kit/process"
)

const (
	// fetchLimit bounds the attempt to download: with a network it takes seconds,
	// without one there is no use in waiting.
	fetchLimit = 45 * time.Second
	// progressInterval is the time between two lines that say a build is alive.
	progressInterval = 10 * time.Second
)

// component is one `go build` in one of the pinned modules.
type component struct {
	module   string
	packages []string // each yields a program named after its last element
	programs []string
}

func components() []component {
	return []component{
		{module: "versitygw", packages: []string{"cargoship.dev/operator/hack/controlplane/versitygw"}, programs: []string{S3Server}},
		{module: "etcd", packages: []string{"cargoship.dev/operator/hack/controlplane/etcd"}, programs: []string{Etcd}},
		{module: "kubernetes", packages: []string{
			"k8s.io/kubernetes/cmd/kube-apiserver",
			"cargoship.dev/operator/hack/controlplane/kubernetes/controllers",
			"k8s.io/kubernetes/cmd/kubectl",
		}, programs: []string{APIServer, Controllers, Kubectl}},
		{module: "coredns", packages: []string{"cargoship.dev/operator/hack/controlplane/coredns"}, programs: []string{DNS}},
		{module: "node", packages: []string{
			"k8s.io/kubernetes/cmd/kube-controller-manager",
			"k8s.io/kubernetes/cmd/kube-scheduler",
			"k8s.io/kubernetes/cmd/kubelet",
			"k8s.io/kubernetes/cmd/kube-proxy",
		}, programs: []string{ControllerManager, Scheduler, Kubelet, Proxy}},
	}
}

// build builds the named programs into the cache. Each appears there whole or not at all.
func (f *finder) build(ctx context.Context, names []string) error {
	for _, c := range components() {
		var packages, programs []string
		for i, program := range c.programs {
			if slices.Contains(names, program) {
				packages = append(packages, c.packages[i])
				programs = append(programs, program)
			}
		}
		if len(programs) == 0 {
			continue
		}
		if err := f.buildPrograms(ctx, c.module, packages, programs); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) buildPrograms(ctx context.Context, module string, packages, programs []string) error {
	what := strings.Join(programs, ", ")
	temp, err := os.MkdirTemp(f.base, ".building-")
	if err != nil {
		return fmt.Errorf("build %s: %w", what, err)
	}
	defer func() { _ = os.RemoveAll(temp) }()

	f.say("building %s from the pinned module %s", what, module)
	begin := time.Now()
	work, err := f.plan(ctx, module, packages)
	if err != nil {
		return fmt.Errorf("plan the build of %s: %w", what, err)
	}
	cmd := f.goCommand(module, "build", append([]string{"-v", "-o", temp + string(filepath.Separator)}, packages...)...)
	cmd.Stderr = work
	if err := f.run(ctx, cmd, func() string { return "building " + what + ": " + work.left(time.Since(begin)) }); err != nil {
		return fmt.Errorf("build %s: %w: %s", what, err, work)
	}
	f.say("built %s in %.0f s", what, time.Since(begin).Seconds())
	if err := f.keep(temp, programs); err != nil {
		return err
	}
	digest, err := f.moduleDigest(module)
	if err != nil {
		return err
	}
	for _, name := range programs {
		if err := os.WriteFile(filepath.Join(f.cache, name+pinSuffix), []byte(digest), 0o644); err != nil {
			return fmt.Errorf("note what %s was built from: %w", name, err)
		}
	}
	return nil
}

// goCommand is one of the go command in a module, with the flags by which all of its
// commands share what is compiled: those of make build, too, so that packages are not
// compiled once for the control plane and once for us.
func (f *finder) goCommand(module, verb string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", append([]string{verb, "-ldflags", f.linkerFlags(module)}, args...)...)
	cmd.Dir = f.moduleDir(module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	return cmd
}

// linkerFlags stamps Kubernetes programs with their version: clients refuse a
// server that has none.
func (f *finder) linkerFlags(module string) string {
	flags := "-s -w"
	text, err := os.ReadFile(f.moduleFile(module))
	if err != nil {
		return flags // versionKey has read the file already; the build will say what is wrong
	}
	version := kubernetesVersion(text)
	numbers := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(numbers) < 3 {
		return flags
	}
	for _, stamp := range []string{"gitVersion=" + version, "gitMajor=" + numbers[0], "gitMinor=" + numbers[1], "gitTreeState=clean"} {
		flags += " -X k8s.io/component-base/version." + stamp
	}
	return flags
}

// keep moves whole programs into the cache; renaming makes each appear at once.
func (f *finder) keep(dir string, programs []string) error {
	for _, name := range programs {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(f.cache, name)); err != nil {
			return fmt.Errorf("put %s into the cache: %w", name, err)
		}
	}
	return nil
}

// fetch tries to download what envtest archives hold. Failure is no error: the
// programs can be built.
func (f *finder) fetch(ctx context.Context) {
	if len(missing(f.cache, fetchable())) == 0 {
		return
	}
	temp, err := os.MkdirTemp(f.base, ".fetching-")
	if err != nil {
		return
	}
	defer func() { _ = os.RemoveAll(temp) }()

	tool := filepath.Join(temp, "setup-envtest")
	build := exec.Command("go", "build", "-o", tool, "sigs.k8s.io/controller-runtime/tools/setup-envtest")
	build.Dir = filepath.Join(f.root, "hack", "tools")
	build.Env = append(os.Environ(), "GOWORK=off")
	if err := f.run(ctx, build, saying("building setup-envtest")); err != nil {
		f.say("cannot build setup-envtest: %v", err)
		return
	}
	dir, err := f.download(ctx, tool, temp)
	if err == nil {
		err = f.keep(dir, fetchable())
	}
	if err != nil {
		f.say("no envtest archive (%v); building instead", err)
		return
	}
	f.say("fetched %s", strings.Join(fetchable(), ", "))
}

// download runs setup-envtest and returns the directory it filled under temp.
func (f *finder) download(ctx context.Context, tool, temp string) (string, error) {
	text, err := os.ReadFile(f.moduleFile("kubernetes"))
	if err != nil {
		return "", err
	}
	version := strings.TrimPrefix(kubernetesVersion(text), "v")
	minor := version[:strings.LastIndex(version, ".")+1] + "x"
	f.say("trying to fetch an envtest archive of Kubernetes %s for at most %.0f s", minor, fetchLimit.Seconds())

	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	var out strings.Builder
	cmd := exec.Command(tool, "use", minor, "--bin-dir", temp, "--print", "path")
	cmd.Stdout = &out
	if err := f.run(ctx, cmd, saying("fetching")); err != nil {
		return "", err
	}
	dir := strings.TrimSpace(out.String())
	if lacking := missing(dir, fetchable()); len(lacking) > 0 {
		return "", fmt.Errorf("the archive lacks %s", strings.Join(lacking, ", "))
	}
	return dir, nil
}

// saying is a text that does not change.
func saying(text string) func() string { return func() string { return text } }

// run runs a command to its end, tells every ten seconds what it is at, and
// kills it with everything it started when ctx ends. Its error holds the last
// lines of its output.
func (f *finder) run(ctx context.Context, cmd *exec.Cmd, doing func() string) error {
	var output tail
	if cmd.Stderr == nil {
		cmd.Stderr = &output
	}
	if cmd.Stdout == nil {
		cmd.Stdout = &output
	}
	begin := time.Now()
	child, err := process.Start(cmd)
	if err != nil {
		return err
	}
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.say("%s (%.0f s)", doing(), time.Since(begin).Seconds())
		case <-ctx.Done():
			if err := child.Stop(0); err != nil {
				return err
			}
			return ctx.Err()
		case <-child.Done():
			if err := child.Err(); err != nil {
				return fmt.Errorf("%w: %s", err, output.String())
			}
			return nil
		}
	}
}

// tailBytes is how much of a failed command's output is worth showing.
const tailBytes = 2000

// tail is a writer that keeps only the end of what is written.
type tail struct{ text []byte }

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > tailBytes {
		t.text = slices.Clone(t.text[len(t.text)-tailBytes:])
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.text)) }
