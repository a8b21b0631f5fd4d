package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
)

// startTimeout bounds the start, images and nodes included.
const startTimeout = 5 * time.Minute

func readSetup() (*setup, error) {
	s := &setup{}
	if err := json.Unmarshal([]byte(os.Getenv(setupEnv)), s); err != nil {
		return nil, fmt.Errorf("read the sandbox's setup (this command is for cluster up alone): %w", err)
	}
	return s, nil
}

// Serve runs the cluster, within the sandbox, until ctx ends.
func Serve(ctx context.Context) error {
	s, err := readSetup()
	if err != nil {
		return err
	}
	pipe := os.NewFile(outcomeFD, "outcome")
	server := &server{setup: *s}
	defer server.daemons.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := server.start(ctx)
	if err != nil {
		out = &outcome{Error: err.Error()}
	}
	told := json.NewEncoder(pipe).Encode(out)
	if err := errors.Join(err, told, pipe.Close()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// server is the cluster as seen from within the sandbox.
type server struct {
	setup   setup
	nodes   []node
	control *kit.Cluster
	daemons sync.WaitGroup
}

// start starts everything and returns once the nodes are ready.
func (s *server) start(ctx context.Context) (*outcome, error) {
	out := &outcome{}
	startup, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	directory := filepath.Join(inside, "control-plane")
	for _, made := range []string{directory, filepath.Join(inside, daemonsName)} {
		if err := os.MkdirAll(made, 0o700); err != nil {
			return nil, err
		}
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	options := kit.Options{Assets: s.setup.Assets, NodeAssets: s.setup.NodeAssets, Dir: directory, Address: hubAddress, Keeper: []string{program, KeepCommand}}
	if s.nodes, err = planNodes(s.setup.Nodes, s.setup.ID, options.KubeletCA(), s.setup.CNIPlugins, s.setup.Registry); err != nil {
		return nil, err
	}
	if err := connect(startup, s.nodes); err != nil {
		return nil, err
	}
	if s.control, err = kit.Start(startup, options); err != nil {
		return nil, err
	}
	s3, err := kit.StartS3(startup, options)
	if err != nil {
		return nil, err
	}
	if err := s.startServices(ctx); err != nil {
		return nil, err
	}
	for _, n := range s.nodes {
		if err := s.startNode(ctx, startup, n); err != nil {
			return nil, fmt.Errorf("start %s: %w", n.Name, err)
		}
		out.Nodes = append(out.Nodes, n.Name)
	}
	if err := s.furnish(startup); err != nil {
		return nil, err
	}
	if err := s.listen(ctx); err != nil {
		return nil, err
	}
	out.S3 = s3.S3Access
	out.S3.Endpoint = s3Endpoint
	return out, nil
}

// startServices starts the scheduler and the name server.
func (s *server) startServices(ctx context.Context) error {
	for path, user := range map[string][]string{
		"scheduler.kubeconfig": {"system:kube-scheduler"},
		"coredns.kubeconfig":   {"coredns", "system:masters"},
	} {
		if err := s.control.UserKubeconfig(filepath.Join(inside, path), user[0], user[1:]...); err != nil {
			return err
		}
	}
	if err := render("Corefile", filepath.Join(inside, "Corefile"), s.nodes[0]); err != nil {
		return err
	}
	resolv := filepath.Join(inside, "resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver "+hubAddress+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the nodes' resolv.conf: %w", err)
	}
	s.keep(ctx, "kube-scheduler", filepath.Join(s.setup.NodeAssets, assets.Scheduler),
		"--kubeconfig="+filepath.Join(inside, "scheduler.kubeconfig"), "--leader-elect=false", "--secure-port=0")
	s.keep(ctx, "coredns", filepath.Join(s.setup.NodeAssets, assets.DNS), "-conf", filepath.Join(inside, "Corefile"))
	return nil
}

// listen serves clients of this machine's own network.
func (s *server) listen(ctx context.Context) error {
	pulls, err := net.FileListener(os.NewFile(registryListenerFD, "listener"))
	if err != nil {
		return fmt.Errorf("take over a listener: %w", err)
	}
	if err := s.serveRegistry(ctx, pulls); err != nil {
		return err
	}
	for fd, port := range map[uintptr]string{apiListenerFD: kit.APIPort, s3ListenerFD: kit.S3Port} {
		listener, err := net.FileListener(os.NewFile(fd, "listener"))
		if err != nil {
			return fmt.Errorf("take over a listener: %w", err)
		}
		s.daemons.Go(func() { forward(ctx, listener, net.JoinHostPort(hubAddress, port)) })
	}
	return nil
}
