package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Load makes images of our programs as they are now, with a tag, and imports them
// on every node.
func (s *State) Load(ctx context.Context, root, tag string) error {
	paths, err := images(ctx, root, filepath.Join(s.dir, "images"), tag)
	if err != nil {
		return err
	}
	return s.importImages(ctx, paths)
}

// LoadProgram makes an image of a static program, which it runs, and imports it on every node.
func (s *State) LoadProgram(ctx context.Context, program, image string) error {
	path := filepath.Join(s.dir, "images", filepath.Base(program)+".tar")
	if err := writeImage(path, image, []string{program}); err != nil {
		return fmt.Errorf("make the image %s: %w", image, err)
	}
	return s.importImages(ctx, []string{path})
}

func (s *State) importImages(ctx context.Context, paths []string) error {
	for _, name := range s.Nodes {
		socket := filepath.Join(inside, name, "containerd.sock")
		for _, path := range paths {
			if err := s.within(ctx, "ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", path); err != nil {
				return fmt.Errorf("import an image on %s: %w", name, err)
			}
		}
	}
	return nil
}

// Shape limits what a node sends to a rate such as 100mbit, by a token bucket. An
// empty rate ends the limit.
func (s *State) Shape(ctx context.Context, name, rate string) error {
	if err := s.known(name); err != nil {
		return err
	}
	command := []string{"tc", "qdisc", "replace", "dev", "eth0", "root"}
	if rate == "" {
		command = append(command, "pfifo_fast")
	} else {
		command = append(command, "tbf", "rate", rate, "burst", "256kb", "latency", "100ms")
	}
	if err := s.onNode(ctx, name, command...); err != nil {
		return fmt.Errorf("shape the egress of %s: %w", name, err)
	}
	return nil
}

// KillPod kills every process of a pod, as the kernel does when memory runs out.
func (s *State) KillPod(uid string) error {
	trees, err := hierarchies()
	if err != nil {
		return err
	}
	groups, err := groupsBelow(filepath.Join(trees[0], identity(s.dir)))
	if err != nil {
		return err
	}
	killed := 0
	for _, group := range groups {
		if !strings.Contains(group, "pod"+uid+"/") {
			continue // also the pod's own group, which holds no process
		}
		text, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if err != nil {
			return fmt.Errorf("read the processes of pod %s: %w", uid, err)
		}
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("read the processes of pod %s: %w", uid, err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d of pod %s: %w", pid, uid, err)
			}
			killed++
		}
	}
	if killed == 0 {
		return fmt.Errorf("kill pod %s: no process of it runs here", uid)
	}
	return nil
}

// within runs a command with the mounts and the network of the sandbox.
func (s *State) within(ctx context.Context, argv ...string) error {
	return run(ctx, s.entering(argv...)...)
}

// onNode runs a command in the network of a node.
func (s *State) onNode(ctx context.Context, name string, argv ...string) error {
	return s.within(ctx, append([]string{"ip", "netns", "exec", name}, argv...)...)
}

// entering is a command that runs another within the sandbox.
func (s *State) entering(argv ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(s.PID), "--mount", "--net", "--"}, argv...)
}

// known returns an error for a node that is none.
func (s *State) known(name string) error {
	if !slices.Contains(s.Nodes, name) {
		return fmt.Errorf("find the node %s: there are %s", name, strings.Join(s.Nodes, ", "))
	}
	return nil
}
