package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
)

const (
	// InitCommand, ServeCommand and KeepCommand are the arguments with which the program
	// that calls Up must call Init, Serve and, with the arguments that follow, Keep.
	InitCommand, ServeCommand, KeepCommand = "init", "serve", "keep"

	// endTimeout bounds the wait for killed processes to be gone.
	endTimeout = 30 * time.Second
	endPoll    = 50 * time.Millisecond

	// File descriptors that the sandbox inherits: listeners in this machine's
	// network, and a pipe to tell how the start went.
	apiListenerFD, s3ListenerFD, registryListenerFD, outcomeFD = 3, 4, 5, 6
)

// Options say what to run and where.
type Options struct {
	// Root is the repository, with our programs in bin/.
	Root string
	// Dir is the run directory, absolute; it is made, and Down empties it.
	Dir string
	// Nodes is how many nodes to run, from 1 to 4.
	Nodes int
	// Log is told what is going on.
	Log io.Writer
}

// setup is what the sandbox is told at its start.
type setup struct {
	Dir, Assets, NodeAssets, CNIPlugins, ID string
	Nodes                                   int
	Images                                  []string
	// Registry is the address of the registry in this machine's own network.
	Registry string
}

// outcome is how a start went.
type outcome struct {
	Error string
	S3    kit.S3Access
	Nodes []string
}

// Up makes sure that a cluster runs, and returns its state once its nodes are ready.
// What an earlier one left behind when it crashed is cleared first.
func Up(ctx context.Context, opts Options) (*State, error) {
	unlock, err := lock(opts.Dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s, err := Open(opts.Dir); err == nil && s.Ready {
		return s, nil
	}
	if err := sweep(ctx, opts.Dir); err != nil {
		return nil, err
	}
	plugins, err := requirements()
	if err != nil {
		return nil, err
	}
	s := setup{Dir: opts.Dir, Nodes: opts.Nodes, CNIPlugins: plugins, ID: identity(opts.Dir)}
	if s.Assets, err = assets.Ensure(ctx, assets.Options{Root: opts.Root, Log: opts.Log}); err != nil {
		return nil, err
	}
	if s.NodeAssets, err = assets.EnsureNode(ctx, assets.Options{Root: opts.Root, Log: opts.Log}); err != nil {
		return nil, err
	}
	if s.Images, err = images(ctx, opts.Root, filepath.Join(opts.Dir, "images"), "local"); err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(opts.Log, "cluster: starting %d nodes (log: %s)\n", opts.Nodes, logFile(opts.Dir))
	state, err := start(ctx, s)
	if err != nil {
		return nil, errors.Join(err, sweep(context.WithoutCancel(ctx), opts.Dir))
	}
	return state, nil
}

func logFile(dir string) string { return filepath.Join(dir, "cluster.log") }

// requirements finds the programs that a node is made of, and the directory of
// network plugins.
func requirements() (plugins string, err error) {
	if os.Geteuid() != 0 {
		return "", errors.New("nodes in namespaces need root: run as root")
	}
	var lacking []string
	for _, name := range []string{"containerd", "ctr", "runc", "ip", "tc", "nft", "conntrack", "nsenter", "mount", "sysctl"} {
		if _, err := exec.LookPath(name); err != nil {
			lacking = append(lacking, name)
		}
	}
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			plugins = dir
			break
		}
	}
	if plugins == "" {
		lacking = append(lacking, "the CNI plugin bridge")
	}
	if len(lacking) == 0 {
		return plugins, nil
	}
	return "", fmt.Errorf("nodes in namespaces need %s: apt-get install containerd runc containernetworking-plugins "+
		"iproute2 nftables conntrack procps", strings.Join(lacking, ", "))
}

// start starts the sandbox and waits until it tells how that went.
func start(ctx context.Context, s setup) (*State, error) {
	api, apiAddress, err := listener()
	if err != nil {
		return nil, err
	}
	defer func() { _ = api.Close() }() // the sandbox has its own descriptor
	s3, s3Address, err := listener()
	if err != nil {
		return nil, err
	}
	defer func() { _ = s3.Close() }()
	pulls, registryAddress, err := listener()
	if err != nil {
		return nil, err
	}
	defer func() { _ = pulls.Close() }()
	s.Registry = registryAddress
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the setup: %w", err)
	}
	told, err := launch(s.Dir, string(text), api, s3, pulls)
	if err != nil {
		return nil, err
	}
	defer func() { _ = told.pipe.Close() }()
	state := &State{dir: s.Dir, PID: told.pid, Kubeconfig: filepath.Join(s.Dir, "kubeconfig"), Volumes: filepath.Join(s.Dir, "volumes"),
		Registry: registryAddress}
	if state.Started, err = startTime(told.pid); err != nil {
		return nil, fmt.Errorf("start the sandbox (log: %s): %w", logFile(s.Dir), err)
	}
	if err := state.record(); err != nil {
		return nil, err
	}
	out, err := told.await(ctx, s.Dir)
	if err != nil {
		return nil, err
	}
	state.S3, state.Nodes, state.Ready = out.S3, out.Nodes, true
	state.S3.Address = s3Address
	if err := outsideKubeconfig(s.Dir, apiAddress); err != nil {
		return nil, err
	}
	if err := state.record(); err != nil {
		return nil, err
	}
	return state, nil
}

// listener listens on a free loopback port of this machine's own network, for another
// process to accept from.
func listener() (file *os.File, address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listen for clients of the cluster: %w", err)
	}
	defer func() { _ = l.Close() }()
	if file, err = l.(*net.TCPListener).File(); err != nil {
		return nil, "", fmt.Errorf("share a listener: %w", err)
	}
	return file, l.Addr().String(), nil
}

// launched is a sandbox that has not yet told how its start went.
type launched struct {
	pid  int
	pipe *os.File
}

// launch starts the sandbox's first process in namespaces of its own: when it dies,
// the kernel ends the others, and mounts and links go with the namespaces.
func launch(dir, text string, listeners ...*os.File) (*launched, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.Create(logFile(dir))
	if err != nil {
		return nil, fmt.Errorf("create the cluster's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = write.Close() }()
	cmd := exec.Command(program, InitCommand)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/run", setupEnv + "=" + text}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = isolated()
	cmd.ExtraFiles = slices.Concat(listeners, []*os.File{write}) // apiListenerFD to outcomeFD
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the sandbox: %w", err), read.Close())
	}
	// It outlives this process; until then somebody has to take note of its end.
	go func() { _ = cmd.Wait() }()
	return &launched{pid: cmd.Process.Pid, pipe: read}, nil
}

// await reads how the start went. A sandbox that dies closes the pipe.
func (l *launched) await(ctx context.Context, dir string) (*outcome, error) {
	stop := context.AfterFunc(ctx, func() { _ = l.pipe.Close() })
	defer stop()
	var out outcome
	err := json.NewDecoder(l.pipe).Decode(&out)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("wait for the nodes: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("the cluster ended before it was ready; its log %s tells why", logFile(dir))
	}
	if out.Error != "" {
		return nil, fmt.Errorf("start the cluster (logs below %s): %s", dir, out.Error)
	}
	return &out, nil
}

// outsideKubeconfig writes the administrator's kubeconfig for use on this machine.
func outsideKubeconfig(dir, address string) error {
	config, err := clientcmd.LoadFromFile(filepath.Join(dir, "control-plane", "admin.kubeconfig"))
	if err != nil {
		return fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	for _, c := range config.Clusters {
		c.Server = "https://" + address
	}
	if err := clientcmd.WriteToFile(*config, filepath.Join(dir, "kubeconfig")); err != nil {
		return fmt.Errorf("write the administrator's kubeconfig: %w", err)
	}
	return nil
}

// Down ends the cluster, if one runs, and clears what it left. It may be called again.
func Down(ctx context.Context, dir string) error {
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	return sweep(ctx, dir)
}

// sweep kills the recorded first process, with which all end, and removes what is
// left: the control groups and the files.
func sweep(ctx context.Context, dir string) error {
	if s, err := Open(dir); err == nil {
		if err := s.kill(ctx); err != nil {
			return err
		}
	} else if !errors.Is(err, ErrNotRunning) {
		return err
	}
	ending, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	if err := removeCgroups(ending, identity(dir)); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("clear the run directory: %w", err)
	}
	for _, entry := range entries {
		if entry.Name() == lockName || entry.Name() == "volumes" {
			continue // what people put into volumes is theirs
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("clear the run directory: %w", err)
		}
	}
	return nil
}

func (s *State) kill(ctx context.Context) error {
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end the cluster's process %d: %w", s.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	for s.alive() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of the cluster's process %d: %w", s.PID, ctx.Err())
		case <-time.After(endPoll):
		}
	}
	return nil
}

const lockName = ".lock"

// lock keeps two commands from working on one run directory at once.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create the run directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the run directory's lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock the run directory: %w", err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}
