package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"cargoship.dev/operator/bench/figures"
)

// The names of our own rows.
const (
	ours       = "cargoship"
	packed     = ", packed"
	oursPacked = ours + packed
	// oursUnsigned leaves bodies out of signatures, as the AWS CRT does.
	oursUnsigned = ours + ", unsigned"
)

const (
	bucket    = "bench"
	accessKey = "benchbenchbench"
	secretKey = "benchbenchbenchbenchbench"
	region    = "us-east-1"
)

// tool is a client under test.
type tool struct {
	name, path string
	// packs: many files become one object.
	packs bool
	// only is the condition that it runs in; "" for all.
	only string
	// version prints what it says of itself.
	version []string
	// module is what it was built from, if its version is not in what it says.
	module string
	// schemePort: it knows servers at the port of their scheme only.
	schemePort bool
	// arguments to copy a directory to the bucket; environment besides the keys.
	arguments   func(j job) []string
	environment func(j job) []string
}

// job is one copy.
type job struct {
	dir, endpoint string
	// certificate is what to trust; "" over plain HTTP.
	certificate string
}

func (j job) host() string {
	_, host, _ := strings.Cut(j.endpoint, "://")
	return host
}

// when returns arguments over TLS, none without.
func (j job) when(arguments ...string) []string {
	if j.certificate == "" {
		return nil
	}
	return arguments
}

// builds are paths of other builds of ours by the names that they are told by. It is a flag.Value.
type builds []struct{ name, path string }

// String implements flag.Value.
func (b *builds) String() string { return "" }

// Set implements flag.Value.
func (b *builds) Set(value string) error {
	name, path, found := strings.Cut(value, "=")
	if !found || name == "" || path == "" {
		return errors.New("want NAME=PATH")
	}
	*b = append(*b, struct{ name, path string }{name, path})
	return nil
}

// tools returns each build as a client that packs and as one that does not.
func (b *builds) tools() []tool {
	var all []tool
	for _, build := range *b {
		for _, packs := range []bool{false, true} {
			t := cargoship("", packs)
			t.name = strings.Replace(t.name, ours, ours+" "+build.name, 1)
			t.path = build.path
			all = append(all, t)
		}
	}
	return all
}

// findTools returns the programs that are there, and other builds of ours or else other clients. Ours and those built from Go modules are
// in bin, the others on PATH or where a distribution puts them.
func findTools(bin string, others builds) ([]tool, error) {
	var found []tool
	all := []tool{cargoship(bin, false), cargoship(bin, true)}
	if len(others) > 0 {
		all = append(all, others.tools()...)
	} else {
		all = append(all, unsigned(cargoship(bin, false)), s5cmd(bin), rclone(bin), mc(bin), juicefs(bin), awsCRT(), awsCLI(), s3cmd())
	}
	for _, t := range all {
		path, err := exec.LookPath(t.path)
		if err != nil && strings.HasPrefix(t.name, ours) {
			return nil, fmt.Errorf("find %s: %w: run make build", t.name, err)
		}
		if err == nil && (!t.packs || canPack(path)) {
			t.path = path
			found = append(found, t)
		}
	}
	return found, nil
}

// canPack tells whether this build of ours knows how to pack.
func canPack(path string) bool {
	help, err := exec.Command(path, "copy", "--help").CombinedOutput()
	return err == nil && regexp.MustCompile(`--packing.*\btar\b`).Match(help)
}

// describe returns the version that a tool was built from, or the first line that it says
// about that.
func (t tool) describe(ctx context.Context) string {
	if info, err := buildinfo.ReadFile(t.path); err == nil {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == t.module {
				return t.name + " " + m.Version
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, t.path, t.version...).CombinedOutput()
	if err != nil {
		return "unknown"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	return line
}

func cargoship(bin string, packs bool) tool {
	t := tool{
		name: ours, path: filepath.Join(bin, "cargoship"), packs: packs, version: []string{"version"},
		arguments: func(j job) []string {
			return slices.Concat([]string{
				"copy", j.dir, "s3://" + bucket + "/data", "--endpoint-url", j.endpoint, "--path-style", "--region", region, "--json",
			}, j.when("--ca-file", j.certificate))
		},
	}
	if packs {
		t.name = oursPacked
		single := t.arguments
		t.arguments = func(j job) []string { return append(single(j), "--packing", "tar") }
	}
	return t
}

// unsigned leaves bodies out of the signatures of ours, which makes a difference without TLS.
func unsigned(t tool) tool {
	signed := t.arguments
	t.name, t.only = oursUnsigned, plainHTTP
	t.arguments = func(j job) []string { return append(signed(j), "--unsigned-payload") }
	return t
}

func s5cmd(bin string) tool {
	return tool{
		name: peer, path: filepath.Join(bin, "peers", "s5cmd"), version: []string{"version"}, module: "github.com/peak/s5cmd/v2",
		arguments: func(j job) []string {
			return []string{"--endpoint-url", j.endpoint, "--log", "error", "cp", j.dir + "/", "s3://" + bucket + "/data/"}
		},
		environment: func(j job) []string { return j.when("AWS_CA_BUNDLE=" + j.certificate) },
	}
}

// rclone gets as many transfers as help it; by default it has four. It is spared the
// listing of the destination, which is known to be empty.
func rclone(bin string) tool {
	return tool{
		name: "rclone", path: filepath.Join(bin, "peers", "rclone"), version: []string{"version"}, module: "github.com/rclone/rclone",
		arguments: func(j job) []string {
			return slices.Concat([]string{
				"copy", j.dir, "bench:" + bucket + "/data", "--transfers", "32", "--s3-upload-concurrency", "8",
				"--no-check-dest", "--s3-no-check-bucket", "--config", "/dev/null", "--log-level", "ERROR",
			}, j.when("--ca-cert", j.certificate))
		},
		environment: func(j job) []string {
			return []string{
				"RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Other", "RCLONE_CONFIG_BENCH_ENV_AUTH=true",
				"RCLONE_CONFIG_BENCH_ENDPOINT=" + j.endpoint, "RCLONE_CONFIG_BENCH_REGION=" + region,
			}
		},
	}
}

// mc cannot be told how many files to send at once.
func mc(bin string) tool {
	return tool{
		name: "mc", path: filepath.Join(bin, "peers", "mc"), version: []string{"--version"}, module: "github.com/minio/mc",
		arguments: func(j job) []string {
			return []string{"--quiet", "mirror", j.dir + "/", "bench/" + bucket + "/data/"}
		},
		environment: func(j job) []string {
			return append(j.when("SSL_CERT_FILE="+j.certificate), figures.MCHost("bench", j.endpoint, accessKey, secretKey))
		},
	}
}

// juicefs gets as many threads as rclone has transfers; by default it has ten.
func juicefs(bin string) tool {
	return tool{
		name: "juicefs sync", path: filepath.Join(bin, "peers", "juicefs"), module: "github.com/juicedata/juicefs",
		arguments: func(j job) []string {
			arguments := []string{"sync", "--threads", "32"}
			if j.certificate == "" {
				arguments = append(arguments, "--no-https")
			}
			return append(arguments, j.dir+"/", "s3://"+j.host()+"/"+bucket+"/data/")
		},
		environment: func(j job) []string { return j.when("SSL_CERT_FILE=" + j.certificate) },
	}
}

func awsCRT() tool {
	python, version := figures.FindCRT()
	return tool{
		name: figures.CRTName, path: python, version: []string{"-c", fmt.Sprintf("print('awscrt %s')", version)}, schemePort: true,
		arguments: func(j job) []string {
			return []string{figures.CRTScript, "put", j.endpoint, bucket + "/data", j.dir}
		},
		environment: func(j job) []string { return j.when("AWS_CA_BUNDLE=" + j.certificate) },
	}
}

func awsCLI() tool {
	path := "/usr/bin/aws"
	if _, err := exec.LookPath(path); err != nil {
		path = "aws"
	}
	return tool{
		name: "AWS CLI", path: path, version: []string{"--version"},
		arguments: func(j job) []string {
			return slices.Concat([]string{
				"s3", "cp", "--recursive", "--only-show-errors", "--endpoint-url", j.endpoint, j.dir, "s3://" + bucket + "/data",
			}, j.when("--ca-bundle", j.certificate))
		},
	}
}

func s3cmd() tool {
	return tool{
		name: "s3cmd", path: "s3cmd", version: []string{"--version"},
		arguments: func(j job) []string {
			protocol := []string{"--no-ssl"}
			if j.certificate != "" {
				protocol = []string{"--ssl", "--ca-certs", j.certificate}
			}
			return slices.Concat([]string{
				"--config", "/dev/null", "--host", j.host(), "--host-bucket", j.host(), "--access_key", accessKey, "--secret_key", secretKey,
				"--region", region, "--quiet", "--no-progress", "--no-preserve",
			}, protocol, []string{"--recursive", "put", j.dir + "/", "s3://" + bucket + "/data/"})
		},
	}
}
