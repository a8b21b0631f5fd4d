package assets

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
)

// Names of the programs in an assets directory.
const (
	Etcd        = "etcd"
	APIServer   = "kube-apiserver"
	Controllers = "controllers"
	Kubectl     = "kubectl"
	S3Server    = "versitygw"
)

// Names of the programs in a directory for nodes. The whole controller manager is one
// of them: without nodes Controllers are enough, and built in a fraction of the time.
const (
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubelet           = "kubelet"
	Proxy             = "kube-proxy"
	DNS               = "coredns"
)

// EnvAssets names a directory of ready programs, as envtest does.
const EnvAssets = "KUBEBUILDER_ASSETS"

// Options say where to look and whom to tell.
type Options struct {
	// Root is the top of the repository. Empty means the one that holds the
	// working directory.
	Root string
	// Log receives one line for each decision and, during a build, one every ten
	// seconds. Nil discards them.
	Log io.Writer
	// WithoutKubectl is set by who has no use for it, which spares its build.
	WithoutKubectl bool
}

// all lists every program; envtest archives hold only those of fetchable.
func all() []string { return append(servers(), Kubectl) }

func servers() []string { return []string{Etcd, APIServer, Controllers, S3Server} }

// programs lists those that are asked for.
func (o Options) programs() []string {
	if o.WithoutKubectl {
		return servers()
	}
	return all()
}

// controlPlaneModules and nodeModules pin the versions of the two sets, each under
// hack/controlplane and each cached on its own.
func controlPlaneModules() []string { return []string{"etcd", "kubernetes", "versitygw"} }
func nodeModules() []string         { return []string{"node", "coredns"} }

func fetchable() []string { return []string{Etcd, APIServer, Kubectl} }

// Ensure returns a directory that holds the programs asked for. It takes the first of:
// KUBEBUILDER_ASSETS, the cache under bin/k8s, an envtest archive, a build from
// the modules that hack/controlplane pins. What KUBEBUILDER_ASSETS lacks is
// added beside links to what it has.
func Ensure(ctx context.Context, opts Options) (string, error) {
	f, err := newFinder(opts, controlPlaneModules())
	if err != nil {
		return "", err
	}
	given, wanted := os.Getenv(EnvAssets), opts.programs()
	if given != "" && len(missing(given, wanted)) == 0 {
		f.say("using %s=%s", EnvAssets, given)
		return given, nil
	}
	if len(missing(f.cache, wanted)) == 0 && !usable(given) {
		f.say("using the cache %s", f.cache)
		return f.cache, nil
	}
	unlock, err := f.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	if usable(given) {
		f.say("using %s=%s and adding what it lacks", EnvAssets, given)
		return f.complete(ctx, given, wanted)
	}
	if err := f.adopt(missing(f.cache, wanted)); err != nil {
		return "", err
	}
	f.fetch(ctx)
	return f.cache, f.build(ctx, missing(f.cache, wanted))
}

// EnsureNode returns a directory that holds what nodes need beside the control
// plane, a scheduler and a name server included. It takes the cache under bin/k8s or
// builds from the modules that hack/controlplane pins.
func EnsureNode(ctx context.Context, opts Options) (string, error) {
	f, err := newFinder(opts, nodeModules())
	if err != nil {
		return "", err
	}
	programs := []string{ControllerManager, Scheduler, Kubelet, Proxy, DNS}
	if len(missing(f.cache, programs)) == 0 {
		f.say("using the cache %s", f.cache)
		return f.cache, nil
	}
	unlock, err := f.lock()
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := f.adopt(missing(f.cache, programs)); err != nil {
		return "", err
	}
	return f.cache, f.build(ctx, missing(f.cache, programs))
}

// usable tells whether a directory holds at least what an envtest archive holds.
func usable(dir string) bool { return dir != "" && len(missing(dir, fetchable())) == 0 }

// missing lists the programs of names that are not in dir.
func missing(dir string, names []string) []string {
	var lacking []string
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			lacking = append(lacking, name)
		}
	}
	return lacking
}

// finder holds the places of one search.
type finder struct {
	root    string
	base    string   // bin/k8s
	cache   string   // the directory under base for exactly the pinned versions
	modules []string // what pins them
	log     io.Writer
}

func newFinder(opts Options, modules []string) (*finder, error) {
	f := &finder{root: opts.Root, log: opts.Log, modules: modules}
	if f.log == nil {
		f.log = io.Discard
	}
	if f.root == "" {
		root, err := RepositoryRoot()
		if err != nil {
			return nil, err
		}
		f.root = root
	}
	key, err := f.versionKey()
	if err != nil {
		return nil, err
	}
	f.base = filepath.Join(f.root, "bin", "k8s")
	f.cache = filepath.Join(f.base, key)
	return f, nil
}

func (f *finder) say(format string, args ...any) {
	_, _ = fmt.Fprintf(f.log, "controlplane: "+format+"\n", args...)
}

// RepositoryRoot walks up from the working directory to this project's go.mod.
func RepositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	ours := regexp.MustCompile(`(?m)^module cargoship\.dev/operator$`)
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && ours.Match(text) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("find the repository: no go.mod of cargoship.dev/operator above the working directory")
		}
		dir = parent
	}
}

// versionKey names the cache directory: the Kubernetes version, the platform, and
// a digest of every pinned version and of our own source, so that a change is seen.
func (f *finder) versionKey() (string, error) {
	sum := sha256.New()
	version := ""
	for _, module := range f.modules {
		text, err := os.ReadFile(f.moduleFile(module))
		if err != nil {
			return "", fmt.Errorf("read the pinned versions: %w", err)
		}
		digest, err := f.moduleDigest(module)
		if err != nil {
			return "", err
		}
		sum.Write([]byte(digest))
		version = cmp.Or(version, kubernetesVersion(text))
	}
	if version == "" {
		return "", fmt.Errorf("read the pinned versions: none of the modules %v of hack/controlplane requires k8s.io/kubernetes", f.modules)
	}
	digest := hex.EncodeToString(sum.Sum(nil))[:8]
	return fmt.Sprintf("%s-%s-%s-%s", version, runtime.GOOS, runtime.GOARCH, digest), nil
}

func (f *finder) moduleDir(module string) string {
	return filepath.Join(f.root, "hack", "controlplane", module)
}

func (f *finder) moduleFile(module string) string {
	return filepath.Join(f.moduleDir(module), "go.mod")
}

// kubernetesVersion reads the version of k8s.io/kubernetes, such as v1.37.2, from
// the text of a go.mod.
func kubernetesVersion(gomod []byte) string {
	match := regexp.MustCompile(`(?m)^\s*(?:require\s+)?k8s\.io/kubernetes (v\S+)`).FindSubmatch(gomod)
	if match == nil {
		return ""
	}
	return string(match[1])
}

// lock keeps two processes from building the same thing at once. The kernel
// drops it when its holder dies.
func (f *finder) lock() (unlock func(), err error) {
	if err := os.MkdirAll(f.cache, 0o755); err != nil {
		return nil, fmt.Errorf("create the cache: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(f.base, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the cache's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.say("waiting for another process that fills the cache")
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("lock the cache: %w", err)
		}
	}
	return func() { _ = file.Close() }, nil
}

// complete returns a directory that links to the given programs and to cached
// ones for the rest. The cache itself never holds what somebody else maintains.
func (f *finder) complete(ctx context.Context, given string, wanted []string) (string, error) {
	lacking := missing(given, wanted)
	if err := f.adopt(missing(f.cache, lacking)); err != nil {
		return "", err
	}
	if err := f.build(ctx, missing(f.cache, lacking)); err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(given + "\x00" + f.cache))
	dir := filepath.Join(f.base, "given-"+hex.EncodeToString(digest[:4]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create a directory of links: %w", err)
	}
	from := map[string]string{}
	for _, name := range wanted {
		from[name] = given
	}
	for _, name := range lacking {
		from[name] = f.cache
	}
	for name, source := range from {
		link := filepath.Join(dir, name)
		_ = os.Remove(link)
		if err := os.Symlink(filepath.Join(source, name), link); err != nil {
			return "", fmt.Errorf("link %s: %w", name, err)
		}
	}
	return dir, nil
}
