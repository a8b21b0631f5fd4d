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

	"cargoship.dev/operator/test/kit"
)

const (
	// FromAPI and FromS3 are what a node can be cut off from.
	FromAPI, FromS3 = "api", "s3"

	// partitionTable holds the rules that cut a node off; one for each server.
	partitionTable = "partition-"
	kubeletPort    = "10250"
	fillerName     = "filler"
	// fillStep is how much is written to a disk at once, in bytes.
	fillStep = 1 << 20
)

// Kill kills a daemon; it is started again after a second.
func (s *State) Kill(ctx context.Context, name string) error {
	pid, err := s.daemon(name)
	if err != nil {
		return err
	}
	if pid == "" {
		return fmt.Errorf("kill %s: it does not run", name)
	}
	// The id is one of the sandbox's own, and so must be who kills.
	err = run(ctx, "nsenter", "--target", strconv.Itoa(s.PID), "--mount", "--pid", "--", "kill", "-KILL", "--", "-"+pid)
	if err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	return nil
}

// Stop kills a daemon, and keeps it from being started until Start.
func (s *State) Stop(ctx context.Context, name string) error {
	if _, err := s.daemon(name); err != nil {
		return err
	}
	if err := os.WriteFile(s.daemonFile(name)+stoppedSuffix, nil, 0o644); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	// One that is about to be started is awaited, or it would live on.
	for range int(2*restartPause/poll) + 1 {
		if pid, err := s.daemon(name); err != nil || pid != "" {
			return errors.Join(err, s.Kill(ctx, name))
		}
		if !rest(ctx, poll) {
			return fmt.Errorf("stop %s: %w", name, ctx.Err())
		}
	}
	return nil
}

// Start lets a daemon that was stopped start again.
func (s *State) Start(name string) error {
	if _, err := s.daemon(name); err != nil {
		return err
	}
	if err := os.Remove(s.daemonFile(name) + stoppedSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}

// daemon returns the process id of a daemon within the sandbox, empty while it does
// not run.
func (s *State) daemon(name string) (pid string, err error) {
	text, err := os.ReadFile(s.daemonFile(name))
	if errors.Is(err, os.ErrNotExist) || filepath.Base(name) != name {
		names, _ := s.daemons()
		return "", fmt.Errorf("find the process %s: there are %s", name, strings.Join(names, ", "))
	}
	if err != nil {
		return "", fmt.Errorf("find the process %s: %w", name, err)
	}
	return string(text), nil
}

func (s *State) daemonFile(name string) string { return filepath.Join(s.dir, daemonsName, name) }

// daemons lists the names of the processes that are kept running.
func (s *State) daemons() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, daemonsName))
	if err != nil {
		return nil, fmt.Errorf("list the cluster's processes: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), stoppedSuffix) {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Partition drops all packets between a node, its pods included, and the API server or
// the S3 server. Heal ends it.
func (s *State) Partition(ctx context.Context, name, from string) error {
	port := map[string]string{FromAPI: kit.APIPort, FromS3: kit.S3Port}[from]
	if port == "" {
		return fmt.Errorf("cut %s off from %q: it can be cut off from %s or %s", name, from, FromAPI, FromS3)
	}
	if err := s.known(name); err != nil {
		return err
	}
	rules := []string{
		"add table inet " + partitionTable + from,
		"delete table inet " + partitionTable + from, // once more changes nothing
		"add table inet " + partitionTable + from,
	}
	for _, hook := range []string{"input", "forward", "output"} {
		chain := fmt.Sprintf("inet %s%s %s", partitionTable, from, hook)
		rules = append(rules, fmt.Sprintf("add chain %s { type filter hook %s priority -10 ; }", chain, hook),
			fmt.Sprintf("add rule %s ip daddr %s tcp dport %s drop", chain, hubAddress, port),
			fmt.Sprintf("add rule %s ip saddr %s tcp sport %s drop", chain, hubAddress, port))
		if from == FromAPI {
			rules = append(rules, fmt.Sprintf("add rule %s ip saddr %s tcp dport %s drop", chain, hubAddress, kubeletPort))
		}
	}
	if err := s.onNode(ctx, name, "nft", strings.Join(rules, "\n")); err != nil {
		return fmt.Errorf("cut %s off from %s: %w", name, from, err)
	}
	return nil
}

// Fill fills the disk that a node's kubelet keeps pods and their logs on, which is no
// larger than diskSize. Heal frees it.
func (s *State) Fill(name string) error {
	if err := s.known(name); err != nil {
		return err
	}
	file, err := os.OpenFile(s.filler(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk of %s: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	for block := make([]byte, fillStep); ; {
		if _, err = file.Write(block); err != nil {
			break
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("fill the disk of %s: %w", name, err)
	}
	return nil
}

// filler is the file that fills a disk, which is mounted in the sandbox alone.
func (s *State) filler(name string) string {
	return filepath.Join("/proc", strconv.Itoa(s.PID), "root", inside, name, diskName, fillerName)
}

// Heal frees a node's disk and ends its partitions.
func (s *State) Heal(ctx context.Context, name string) error {
	if err := s.known(name); err != nil {
		return err
	}
	if err := os.Remove(s.filler(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("free the disk of %s: %w", name, err)
	}
	var rules []string
	for _, from := range []string{FromAPI, FromS3} {
		rules = append(rules, "add table inet "+partitionTable+from, "delete table inet "+partitionTable+from)
	}
	if err := s.onNode(ctx, name, "nft", strings.Join(rules, "\n")); err != nil {
		return fmt.Errorf("end the partitions of %s: %w", name, err)
	}
	return nil
}

// HealAll heals every node, and lets every daemon start that was stopped.
func (s *State) HealAll(ctx context.Context) error {
	names, err := s.daemons()
	errs := []error{err}
	for _, name := range names {
		errs = append(errs, s.Start(name))
	}
	for _, name := range s.Nodes {
		errs = append(errs, s.Heal(ctx, name))
	}
	return errors.Join(errs...)
}

// S3Received is how many bytes have come from the nodes to the S3 server, headers
// included, since the cluster was started.
func (s *State) S3Received(ctx context.Context) (int64, error) {
	out, err := output(ctx, s.entering("nft", "list", "table", "inet", meterTable)...)
	if err != nil {
		return 0, fmt.Errorf("count what the nodes send to the S3 server: %w", err)
	}
	fields := strings.Fields(out)
	at := slices.Index(fields, "bytes")
	if at < 0 || at+1 == len(fields) {
		return 0, fmt.Errorf("count what the nodes send to the S3 server: no counter in %q", out)
	}
	return strconv.ParseInt(fields[at+1], 10, 64)
}
