package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/test/kit"
	"cargoship.dev/operator/test/kit/assets"
)

const (
	bucket = "scale"
	// perDirectory is how many files a directory holds.
	perDirectory = 1000
	// planLimit is the most memory, in MiB, that planning may take.
	planLimit = 256
)

// options are what the command line chooses.
type options struct {
	files   int
	size    int
	dir     string
	program string
	out     string
	planFor string // the S3 server to plan for: this process is the planner
}

// step is what was measured of one program.
type step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpuSeconds"`
	PeakMiB float64 `json:"peakMiB"`
	Says    string  `json:"says"`
}

func main() {
	var o options
	flag.IntVar(&o.files, "files", 1_000_000, "how many files to make")
	flag.IntVar(&o.size, "size", 2048, "bytes of each")
	flag.StringVar(&o.dir, "dir", "/dev/shm", "where to make the files")
	flag.StringVar(&o.program, "program", "bin/cargoship", "the program to measure")
	flag.StringVar(&o.out, "out", "", "file for the table as Markdown, the steps as JSON beside it")
	flag.StringVar(&o.planFor, "plan-for", "", "plan DIR for this endpoint, as a child of this program does")
	flag.Parse()
	if err := start(o); err != nil {
		fmt.Fprintln(os.Stderr, "benchscale:", err)
		os.Exit(1)
	}
}

// start measures, or plans, until a signal comes.
func start(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.planFor != "" {
		return plan(ctx, o)
	}
	return measure(ctx, o)
}

// measure makes the tree and runs all steps. Nothing is left of it.
func measure(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp(o.dir, "scale-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(os.Stderr, "benchscale: making %d files of %d bytes\n", o.files, o.size)
	tree := filepath.Join(dir, "tree")
	if err := makeTree(ctx, tree, o); err != nil {
		return err
	}
	server, err := startServer(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	steps, err := runSteps(ctx, o, dir, tree, server)
	if err != nil {
		return err
	}
	return report(o, steps)
}

// makeTree makes the files, which do not compress.
func makeTree(ctx context.Context, tree string, o options) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for first := 0; first < o.files; first += perDirectory {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := first / perDirectory
			dir := filepath.Join(tree, fmt.Sprintf("d%03d", n/100), fmt.Sprintf("e%02d", n%100))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			random := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
			content := make([]byte, o.size)
			for i := first; i < min(first+perDirectory, o.files); i++ {
				_, _ = random.Read(content)
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%07d", i)), content, 0o644); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func startServer(ctx context.Context, dir string) (*kit.S3, error) {
	programs, err := assets.Ensure(ctx, assets.Options{Log: os.Stderr})
	if err != nil {
		return nil, err
	}
	server, err := kit.StartS3(ctx, kit.Options{Dir: dir, Assets: programs})
	if err != nil {
		return nil, err
	}
	store, err := server.Client()
	if err == nil {
		err = store.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
	}
	if err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	return server, nil
}

// runSteps measures each step in a process of its own.
func runSteps(ctx context.Context, o options, dir, tree string, server *kit.S3) ([]step, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	reach := []string{"--endpoint-url", server.Endpoint, "--region", server.Region, "--path-style", "--json"}
	target := "s3://" + bucket + "/copy"
	one := filepath.Join("d000", "e00", "f0000042")
	var steps []step
	for _, s := range []struct {
		name    string
		command []string
	}{
		{"plan", []string{self, "--plan-for", server.Endpoint, "--dir", tree}},
		{"copy, packed", append([]string{o.program, "copy", tree, target, "--packing", "tar"}, reach...)},
		{"verify, by checksum", append([]string{o.program, "verify", target}, reach...)},
		{"verify, read back", append([]string{o.program, "verify", "--read-back", target}, reach...)},
		{"restore of one file", append([]string{o.program, "restore", target, filepath.Join(dir, "restored"), one}, reach...)},
	} {
		done, err := measured(ctx, server, s.name, s.command)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "benchscale: %-20s %7.1f s %7.1f CPU-s %6.0f MiB %s\n", done.Name, done.Seconds, done.CPU, done.PeakMiB, done.Says)
		steps = append(steps, done)
	}
	return steps, nil
}

// measured runs a program and returns what it took.
func measured(ctx context.Context, server *kit.S3, name string, command []string) (step, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+server.AccessKey, "AWS_SECRET_ACCESS_KEY="+server.SecretKey)
	cmd.Stderr = os.Stderr
	begun := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return step{}, fmt.Errorf("%s: %w: %s", name, err, out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return step{}, errors.New("this system does not tell what a process has used")
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return step{
		Name: name, Seconds: time.Since(begun).Seconds(),
		CPU:     (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
		PeakMiB: float64(usage.Maxrss) / 1024, // Linux counts in KiB.
		Says:    lines[len(lines)-1],
	}, nil
}

// plan lists a tree as the planning worker of a transfer does.
func plan(ctx context.Context, o options) error {
	source, err := archive.OpenSource(o.dir, "")
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	client, err := s3.NewClient(ctx, s3.Options{Bucket: bucket, Endpoint: o.planFor, PathStyle: true})
	if err != nil {
		return err
	}
	defer client.Close()
	planner := archive.Planner{Source: source, Store: client, Layout: archive.Layout{
		Base: "plan", Pattern: archive.Hash, UID: "scale", Tar: &archive.Tar{
			Name: "tree", TargetSize: archive.DefaultTargetSize, LargeFile: archive.DefaultTarLargeFile,
			Compression: archive.Zstd, Level: archive.DefaultLevel,
		},
	}}
	done, err := planner.Run(ctx, func(archive.Plan) {})
	if err != nil {
		return err
	}
	var files, archives int64
	for _, p := range done.Prefixes {
		files += p.Files
		archives += p.Archives
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]int64{"files": files, "archives": archives})
}
