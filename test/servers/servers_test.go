package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"cargoship.dev/operator/test/kit/assets"
	"cargoship.dev/operator/test/kit/process"
)

const (
	bucket    = "bucket"
	region    = "us-east-1"
	startTime = 3 * time.Minute
)

// server is a make of server.
type server struct {
	name string
	// version is what the page says.
	version func() string
	// light ones are built and started within seconds.
	light bool
	// accessKey and secretKey are those that it takes.
	accessKey, secretKey string
	// program finds or builds the program; errNotInstalled is not a failure.
	program func() (string, error)
	// command serves a directory at an address of the loopback interface. What it has
	// started for that stops when the test ends.
	command func(t *testing.T, s server, program, dir, host, port string) (*exec.Cmd, error)
}

// errNotInstalled says that a server comes with the system or not at all.
var errNotInstalled = errors.New("not installed")

const accessKey, secretKey = "cargoship", "cargoship-secret"

// built finds a program that `make test-servers` builds.
func built(name string) func() (string, error) {
	return func() (string, error) {
		program := filepath.Join(root, "bin", "servers", name)
		if _, err := os.Stat(program); err != nil {
			return "", fmt.Errorf("%w: run make bin/servers/%s", err, name)
		}
		return program, nil
	}
}

func all() []server {
	if chosen.endpoint != "" {
		return []server{{name: "given", version: func() string { return "?" }, light: true, accessKey: chosen.accessKey, secretKey: chosen.secretKey}}
	}
	return []server{
		{"versitygw", pinned("hack/controlplane/versitygw/go.mod", "github.com/versity/versitygw "), true, accessKey, secretKey, versitygw, serveVersitygw},
		{"gofakes3", pinned("hack/servers/gofakes3/go.mod", "github.com/johannesboyne/gofakes3 "), true, accessKey, secretKey, gofakes3, serveGofakes3},
		{"rclone serve s3", pinned("hack/servers/rclone/go.mod", "github.com/rclone/rclone "), false, accessKey, secretKey, built("rclone"), serveRclone},
		{"s3rver", pinned("hack/servers/s3rver/package.json", `"s3rver": `), false, "S3RVER", "S3RVER", built("s3rver/node_modules/.bin/s3rver"), serveS3rver},
		{"MinIO", pinned("hack/servers/minio/go.mod", "github.com/minio/minio "), false, accessKey, secretKey, built("minio"), serveMinio},
		{"SeaweedFS", pinned("hack/servers/seaweedfs/go.mod", "github.com/seaweedfs/seaweedfs "), false, accessKey, secretKey, built("weed"), serveSeaweed},
		{"Ceph RGW", cephVersion, false, accessKey, secretKey, radosgw, serveCeph},
	}
}

// called tells whether a server is meant by the first word of its name.
func (s server) called(name string) bool {
	word, _, _ := strings.Cut(s.name, " ")
	return strings.EqualFold(word, name)
}

// pinned reads the version that follows a module's name in a file below the root.
func pinned(file, module string) func() string {
	return func() string {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return "?"
		}
		found := regexp.MustCompile(regexp.QuoteMeta(module) + `"?([^\s"]+)`).FindSubmatch(text)
		if found == nil {
			return "?"
		}
		return string(found[1])
	}
}

func versitygw() (string, error) {
	dir, err := assets.Ensure(context.Background(), assets.Options{Log: os.Stderr})
	return filepath.Join(dir, assets.S3Server), err
}

func gofakes3() (string, error) {
	program := filepath.Join(filepath.Dir(cargoship), "gofakes3")
	return program, goBuild(filepath.Join(root, "hack/servers/gofakes3"), program, "github.com/johannesboyne/gofakes3/cmd/gofakes3")
}

func serveVersitygw(_ *testing.T, s server, program, dir, host, port string) (*exec.Cmd, error) {
	cmd := exec.Command(program, "--port", net.JoinHostPort(host, port), "--region", region, "--keep-alive", "--quiet", "posix", dir)
	cmd.Env = []string{"ROOT_ACCESS_KEY=" + s.accessKey, "ROOT_SECRET_KEY=" + s.secretKey}
	return cmd, nil
}

func serveGofakes3(_ *testing.T, _ server, program, _, host, port string) (*exec.Cmd, error) {
	return exec.Command(program, "-backend", "memory", "-quiet", "-host", net.JoinHostPort(host, port)), nil
}

func serveRclone(_ *testing.T, s server, program, dir, host, port string) (*exec.Cmd, error) {
	cmd := exec.Command(program, "serve", "s3", "--config", "/dev/null", "--addr", net.JoinHostPort(host, port),
		"--auth-key", s.accessKey+","+s.secretKey, dir)
	return cmd, nil
}

func serveS3rver(_ *testing.T, _ server, program, dir, host, port string) (*exec.Cmd, error) {
	cmd := exec.Command(program, "-d", dir, "-a", host, "-p", port, "-s", "--no-vhost-buckets")
	// Its continuation tokens are encrypted as only old versions of OpenSSL do.
	cmd.Env = append(os.Environ(), "NODE_OPTIONS=--openssl-legacy-provider")
	return cmd, nil
}

func serveMinio(_ *testing.T, s server, program, dir, host, port string) (*exec.Cmd, error) {
	cmd := exec.Command(program, "server", "--quiet", "--address", net.JoinHostPort(host, port), dir)
	cmd.Env = []string{"MINIO_ROOT_USER=" + s.accessKey, "MINIO_ROOT_PASSWORD=" + s.secretKey, "HOME=" + dir, "MINIO_BROWSER=off"}
	return cmd, nil
}

func serveSeaweed(_ *testing.T, s server, program, dir, host, port string) (*exec.Cmd, error) {
	type pair struct {
		AccessKey string `json:"accessKey"`
		SecretKey string `json:"secretKey"`
	}
	type identity struct {
		Name        string   `json:"name"`
		Credentials []pair   `json:"credentials"`
		Actions     []string `json:"actions"`
	}
	text, err := json.Marshal(map[string][]identity{"identities": {{"admin", []pair{{s.accessKey, s.secretKey}}, []string{"Admin", "Read", "Write", "List", "Tagging"}}}})
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "s3.json")
	arguments := []string{"server", "-dir", dir, "-ip", host, "-ip.bind", host, "-volume.max", "50", "-master.volumeSizeLimitMB", "64",
		"-s3", "-s3.port", port, "-s3.config", config}
	for _, part := range []string{"master", "volume", "filer"} {
		free, err := freePort()
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, "-"+part+".port", free)
	}
	cmd := exec.Command(program, arguments...)
	cmd.Dir = dir
	return cmd, os.WriteFile(config, text, 0o600)
}

// freePort finds a loopback port that nobody listens on, and nobody on the one 10,000
// above it, which SeaweedFS takes as well.
func freePort() (string, error) {
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		port := listener.Addr().(*net.TCPAddr).Port
		if err := listener.Close(); err != nil {
			return "", err
		}
		if port+10000 > 65535 {
			continue
		}
		above, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+10000))
		if err == nil {
			return fmt.Sprint(port), above.Close()
		}
	}
}

// running is a server that serves, with one empty bucket.
type running struct {
	server
	endpoint string
	client   *minio.Core
}

// start starts a server, which stops when the test ends.
func (s server) start(t *testing.T) *running {
	t.Helper()
	if chosen.endpoint != "" {
		return s.await(t, strings.TrimPrefix(chosen.endpoint, "http://"), nil, nil)
	}
	program, err := s.program()
	if errors.Is(err, errNotInstalled) && chosen.only == "" {
		t.Skipf("%s is skipped, and docs/servers.md left as it is: %v", s.name, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := s.command(t, s, program, t.TempDir(), "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	child, err := children.start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Stop(0)
		if t.Failed() {
			t.Logf("%s said: %.3000s", s.name, log.String())
		}
	})
	return s.await(t, "127.0.0.1:"+port, child, &log)
}

// await makes a bucket as soon as the server takes one.
func (s server) await(t *testing.T, address string, child *process.Process, log fmt.Stringer) *running {
	t.Helper()
	var ended <-chan struct{}
	if child != nil {
		ended = child.Done()
	}
	client, err := minio.New(address, &minio.Options{
		Creds: credentials.NewStaticV4(s.accessKey, s.secretKey, ""), Region: region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(startTime); ; time.Sleep(100 * time.Millisecond) {
		err := client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{Region: region})
		if err == nil {
			return &running{s, "http://" + address, &minio.Core{Client: client}}
		}
		select {
		case <-ended:
			t.Fatalf("%s has ended: %v: %s", s.name, child.Err(), log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s makes no bucket: %v", s.name, err)
		}
	}
}
