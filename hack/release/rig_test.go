package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

const (
	repository = "../.."
	testEpoch  = "1700000000"
)

// source is a copy of what a release is made of, with programs that build in no time and use
// one module.
func source(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{"charts/cargoship", "config", "docs/schemas/crd"} {
		if err := os.CopyFS(filepath.Join(dir, path), os.DirFS(filepath.Join(repository, path))); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "LICENSE"), "a license")
	write(t, filepath.Join(dir, "go.mod"), "module "+modulePath+"\n\ngo 1.26.0\n\nrequire golang.org/x/sys "+sysVersion(t)+"\n")
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "go.sum"), string(sum))
	for _, program := range []string{manager, worker, tool} {
		write(t, filepath.Join(dir, "cmd", program, "main.go"),
			"package main\n\nimport _ \"golang.org/x/sys/cpu\"\n\nfunc main() { println(\""+program+"\") }\n")
	}
	return dir
}

// sysVersion is the version of golang.org/x/sys that this module has.
func sysVersion(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(runs(t, "go", "list", "-m", "-f", "{{.Version}}", "golang.org/x/sys"))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func runs(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := output(exec.CommandContext(t.Context(), argv[0], argv[1:]...))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func reference(t *testing.T, text string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func epoch(t *testing.T) time.Time {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", testEpoch)
	at, err := sourceTime(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func discard() *log.Logger { return log.New(io.Discard, "", 0) }

func decode(t *testing.T, text string) []byte {
	t.Helper()
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// sums are the digests of files, which are easier to compare than the files.
func sums(files map[string][]byte) map[string]string {
	digests := map[string]string{}
	for name, content := range files {
		sum := sha256.Sum256(content)
		digests[name] = hex.EncodeToString(sum[:])
	}
	return digests
}

// untar are the files of an archive by name.
func untar(t *testing.T, archive io.ReadCloser) map[string][]byte {
	t.Helper()
	defer func() { _ = archive.Close() }()
	files := map[string][]byte{}
	for in := tar.NewReader(archive); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}

// verified is the digest that a signature beside an image is of.
func verified(t *testing.T, public signature.Verifier, signed v1.Image) string {
	t.Helper()
	manifest, err := signed.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := signed.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(content); err != nil {
		t.Fatal(err)
	}
	sig := decode(t, manifest.Layers[0].Annotations["dev.cosignproject.cosign/signature"])
	if err := public.VerifySignature(bytes.NewReader(sig), bytes.NewReader(text.Bytes())); err != nil {
		t.Fatalf("the signature does not fit: %v", err)
	}
	var payload struct {
		Critical struct {
			Image map[string]string
			Type  string
		}
	}
	if err := json.Unmarshal(text.Bytes(), &payload); err != nil || payload.Critical.Type != "cosign container image signature" {
		t.Fatalf("the signed text is %s (%v)", text.Bytes(), err)
	}
	return payload.Critical.Image["docker-manifest-digest"]
}

// newKey is the file of a key as cosign makes it, and what verifies its signatures.
func newKey(t *testing.T, password string) (string, signature.Verifier) {
	t.Helper()
	private, public, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.StaticPasswordFunc([]byte(password)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cosign.key")
	if err := os.WriteFile(path, private, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(passwordEnv, password)
	key, err := cryptoutils.UnmarshalPEMToPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	return path, verifier
}

// made is the directory of a release of some source.
func made(t *testing.T, from string, o options) string {
	t.Helper()
	dir, err := try(t, from, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func try(t *testing.T, from string, o options) (string, error) {
	t.Helper()
	t.Setenv("SOURCE_DATE_EPOCH", testEpoch)
	o.source, o.version, o.tools = from, "1.2.3", filepath.Join(repository, "bin", "tools")
	o.out = filepath.Join(t.TempDir(), "release")
	if o.platforms == "" {
		o.platforms = allPlatforms
	}
	p, err := newPlan(t.Context(), o)
	if err != nil {
		return o.out, err
	}
	return o.out, run(context.WithoutCancel(t.Context()), p)
}

func tree(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

func serve(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(discard())))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}
