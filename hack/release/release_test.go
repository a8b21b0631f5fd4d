package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	spdxjson "github.com/spdx/tools-golang/json"
	"go.yaml.in/yaml/v3"
)

// TestTheSameSourceGivesTheSameBytes makes a release twice, on two days, from two copies of the
// source that differ in place and times.
func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	host := serve(t)
	keyFile, _ := newKey(t, "secret")
	first := made(t, source(t), options{registry: host + "/first/cargoship", key: keyFile})
	second := made(t, source(t), options{registry: host + "/first/cargoship", key: keyFile})
	a, b := tree(t, first), tree(t, second)
	if diff := cmp.Diff(sums(a), sums(b)); diff != "" {
		t.Errorf("two releases of the same source differ (-first +second):\n%s", diff)
	}
	for _, name := range []string{"cargoship-1.2.3.tgz", "install.yaml", "schemas/archivetransfer-transfer-v1alpha1.json", "krew.yaml", "SHA256SUMS", "SHA256SUMS.sig", "cosign.pub", "oci/index.json",
		"cargoship_1.2.3_linux_amd64.tar.gz", "cargoship_1.2.3_linux_arm64.tar.gz", "cargoship_1.2.3_darwin_amd64.tar.gz",
		"cargoship_1.2.3_darwin_arm64.tar.gz", "cargoship_1.2.3_windows_amd64.zip", "cargoship_1.2.3_windows_amd64.spdx.json"} {
		if len(a[name]) == 0 {
			t.Errorf("the release has no %s", name)
		}
	}
}

func TestImagesAreOfBothArchitecturesAndNeedNoRoot(t *testing.T) {
	host := serve(t)
	made(t, source(t), options{registry: host + "/cargoship"})
	for _, image := range []string{manager, worker, tool} {
		index, err := remote.Index(reference(t, host+"/cargoship/"+image+":1.2.3"))
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		var platforms []string
		for _, m := range manifest.Manifests {
			platforms = append(platforms, m.Platform.String())
			one, err := index.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			checkImage(t, image, one)
			checkBill(t, host+"/cargoship/"+image, m.Digest)
		}
		if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, platforms); diff != "" {
			t.Errorf("platforms of %s (-want +got):\n%s", image, diff)
		}
	}
}

func checkImage(t *testing.T, name string, image v1.Image) {
	t.Helper()
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/"+name || config.Config.Labels["org.opencontainers.image.version"] != "1.2.3" {
		t.Errorf("%s has the configuration %+v", name, config.Config)
	}
	files := untar(t, mutate.Extract(image))
	for _, path := range []string{name, "etc/passwd", "usr/share/zoneinfo/Europe/Berlin"} {
		if len(files[path]) == 0 {
			t.Errorf("%s has no %s", name, path)
		}
	}
	if _, err := cryptoutils.UnmarshalCertificatesFromPEM(files["etc/ssl/certs/ca-certificates.crt"]); err != nil {
		t.Errorf("%s: its authorities: %v", name, err)
	}
	if n := bytes.Count(files["etc/ssl/certs/ca-certificates.crt"], []byte("BEGIN CERTIFICATE")); n < 100 {
		t.Errorf("%s trusts only %d authorities", name, n)
	}
}

// checkBill expects a bill of materials that refers to an image.
func checkBill(t *testing.T, repository string, image v1.Hash) {
	t.Helper()
	index, err := remote.Referrers(reference(t, repository+"@"+image.String()).(name.Digest))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%s@%s has the referrers %+v (%v), want one", repository, image, manifest, err)
	}
	attached, err := remote.Image(reference(t, repository+"@"+manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := attached.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := spdxjson.Read(content)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, pkg := range doc.Packages {
		names[pkg.PackageName] = true
	}
	if !names["stdlib"] || !names["golang.org/x/sys"] {
		t.Errorf("%s@%s is said to be made of %v", repository, image, names)
	}
}

func TestChartAndManifestPinTheImages(t *testing.T) {
	host := serve(t)
	dir := made(t, source(t), options{registry: host + "/cargoship"})
	digests := map[string]string{}
	for _, image := range []string{manager, worker} {
		there, err := remote.Head(reference(t, host+"/cargoship/"+image+":1.2.3"))
		if err != nil {
			t.Fatal(err)
		}
		digests[image] = host + "/cargoship/" + image + ":1.2.3@" + there.Digest.String()
	}
	helm := filepath.Join(repository, "bin", "tools", "helm")
	fromFile := runs(t, helm, "template", filepath.Join(dir, "cargoship-1.2.3.tgz"))
	fromRegistry := runs(t, helm, "template", "oci://"+host+"/cargoship/charts/cargoship", "--version", "1.2.3", "--plain-http")
	if shown := runs(t, helm, "show", "chart", "oci://"+host+"/cargoship/charts/cargoship", "--version", "1.2.3", "--plain-http"); !strings.Contains(shown, "appVersion: 1.2.3") {
		t.Errorf("the chart in the registry is described as\n%s", shown)
	}
	chart, err := remote.Image(reference(t, host+"/cargoship/charts/cargoship:1.2.3"))
	if err != nil {
		t.Fatal(err)
	}
	if config, err := chart.RawConfigFile(); err != nil || !strings.Contains(string(config), `"name":"cargoship"`) {
		t.Errorf("the configuration of the chart is %s (%v)", config, err)
	}
	install, err := os.ReadFile(filepath.Join(dir, "install.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"the chart": fromFile, "the chart in the registry": fromRegistry, "install.yaml": string(install)} {
		if !strings.Contains(text, "image: "+digests[manager]) || !strings.Contains(text, "--worker-image="+digests[worker]) {
			t.Errorf("%s does not pin the images %v", where, digests)
		}
	}
	if strings.Contains(string(install), ":latest") {
		t.Error("install.yaml names an image latest")
	}
}

func TestSignaturesAreCosigns(t *testing.T) {
	host := serve(t)
	keyFile, public := newKey(t, "secret")
	dir := made(t, source(t), options{registry: host + "/cargoship", key: keyFile})
	for _, image := range []string{manager, worker, tool, "charts/cargoship"} {
		repository := host + "/cargoship/" + image
		there, err := remote.Head(reference(t, repository+":1.2.3"))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := remote.Image(reference(t, repository+":sha256-"+there.Digest.Hex+".sig"))
		if err != nil {
			t.Fatalf("the signature of %s: %v", image, err)
		}
		if got := verified(t, public, signed); got != there.Digest.String() {
			t.Errorf("the signature beside %s is of %s, want %s", image, got, there.Digest)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS.sig"))
	if err != nil {
		t.Fatal(err)
	}
	if err := public.VerifySignature(bytes.NewReader(decode(t, string(sig))), bytes.NewReader(text)); err != nil {
		t.Errorf("the signature of SHA256SUMS: %v", err)
	}
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum --check: %v: %s", err, out)
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	host := serve(t)
	from := source(t)
	made(t, from, options{registry: host + "/cargoship"})
	made(t, from, options{registry: host + "/cargoship"}) // the same again
	changed := source(t)
	write(t, filepath.Join(changed, "cmd", "worker", "main.go"), "package main\n\nimport _ \"golang.org/x/sys/cpu\"\n\nfunc main() { println(2) }\n")
	before, err := remote.Head(reference(t, host+"/cargoship/worker:1.2.3"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := try(t, changed, options{registry: host + "/cargoship"}); err == nil || !strings.Contains(err.Error(), "release another version") {
		t.Errorf("another worker under the same version: %v, want an error", err)
	}
	after, err := remote.Head(reference(t, host+"/cargoship/worker:1.2.3"))
	if err != nil || after.Digest != before.Digest {
		t.Errorf("the worker is %v (%v), was %v", after, err, before)
	}
}

func TestABaseIsTakenByDigest(t *testing.T) {
	host := serve(t)
	base := pushBase(t, host)
	dir := made(t, source(t), options{registry: host + "/cargoship", base: base})
	image, err := remote.Image(reference(t, host+"/cargoship/manager:1.2.3"), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "arm64"}))
	if err != nil {
		t.Fatal(err)
	}
	files := untar(t, mutate.Extract(image))
	if string(files["etc/base"]) != "arm64" || len(files["etc/passwd"]) > 0 || len(files["manager"]) == 0 {
		t.Errorf("the image made from a base of %s has the files %v", dir, files)
	}
}

// pushBase pushes an image of two platforms that can be told apart, and returns its name.
func pushBase(t *testing.T, host string) string {
	t.Helper()
	index := mutate.AppendManifests(empty.Index)
	for _, architecture := range []string{"amd64", "arm64"} {
		content, err := layer([]entry{{name: "etc/base", mode: 0o644, content: []byte(architecture)}}, epoch(t))
		if err != nil {
			t.Fatal(err)
		}
		image, err := mutate.AppendLayers(emptyImage(), content)
		if err != nil {
			t.Fatal(err)
		}
		platform := &v1.Platform{OS: "linux", Architecture: architecture}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	if err := remote.WriteIndex(reference(t, host+"/base:1"), index); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return host + "/base@" + digest.String()
}

func TestKrewManifestLeadsToTheArchives(t *testing.T) {
	dir := made(t, source(t), options{downloads: "https://example.com/v1.2.3/"})
	text, err := os.ReadFile(filepath.Join(dir, "krew.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var plugin krewPlugin
	if err := yaml.Unmarshal(text, &plugin); err != nil {
		t.Fatal(err)
	}
	if len(plugin.Spec.Platforms) != len(strings.Split(allPlatforms, ",")) || plugin.Spec.Version != "v1.2.3" {
		t.Errorf("the manifest is of %s for %d platforms", plugin.Spec.Version, len(plugin.Spec.Platforms))
	}
	for _, platform := range plugin.Spec.Platforms {
		file, ok := strings.CutPrefix(platform.URI, "https://example.com/v1.2.3/")
		if !ok {
			t.Errorf("an archive is at %s", platform.URI)
		}
		if sum, err := fileSHA256(filepath.Join(dir, file)); err != nil || sum != platform.SHA256 {
			t.Errorf("%s has the checksum %s (%v), the manifest says %s", file, sum, err, platform.SHA256)
		}
	}
}

func TestARegistryThatRefusesSaysWhatToDo(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	_, err := try(t, source(t), options{registry: strings.TrimPrefix(server.URL, "http://") + "/cargoship", platforms: "linux/amd64"})
	if err == nil || !strings.Contains(err.Error(), "log in") {
		t.Errorf("a registry that refuses: %v, want advice", err)
	}
}

func TestAFailedReleaseLeavesNothing(t *testing.T) {
	broken := source(t)
	write(t, filepath.Join(broken, "cmd", "worker", "main.go"), "package main\n\nfunc main() { missing() }\n")
	dir, err := try(t, broken, options{platforms: "linux/amd64"})
	if err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a source that does not compile: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) > 0 {
		t.Errorf("it leaves %v (%v)", entries, err)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", testEpoch)
	keyFile, _ := newKey(t, "secret")
	t.Setenv(passwordEnv, "wrong")
	for what, o := range map[string]options{
		"SOURCE":          {source: filepath.Join(t.TempDir(), "nowhere")},
		"semantic":        {version: "latest"},
		"must be one of":  {version: "1.2.3", platforms: "plan9/amd64"},
		"named twice":     {version: "1.2.3", platforms: "linux/amd64,linux/amd64"},
		"of Linux":        {version: "1.2.3", platforms: "darwin/arm64"},
		"host and a path": {version: "1.2.3", registry: "NOT A REGISTRY"},
		"by digest":       {version: "1.2.3", base: "example.com/base:latest"},
		passwordEnv:       {version: "1.2.3", key: keyFile},
		"it exists":       {version: "1.2.3", out: t.TempDir()},
	} {
		if o.out == "" {
			o.out = filepath.Join(t.TempDir(), "out")
		}
		if o.platforms == "" {
			o.platforms = allPlatforms
		}
		want := strings.ReplaceAll(what, "SOURCE", "chart's version")
		if _, err := newPlan(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error with %q", o, err, want)
		}
	}
}

func TestPinKeepsTheRestOfTheValues(t *testing.T) {
	values := "# Managers.\nimage:\n  repository: cargoship/manager # where\n  digest: \"\"\nother:\n  digest: \"\"\n"
	got, err := pin([]byte(values), "image", "example.com/manager", "sha256:abc")
	if err != nil {
		t.Fatal(err)
	}
	want := "# Managers.\nimage:\n  repository: \"example.com/manager\" # where\n  digest: \"sha256:abc\"\nother:\n  digest: \"\"\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("pinned values (-want +got):\n%s", diff)
	}
	if _, err := pin([]byte("image:\n  repository: a\n"), "image", "b", "c"); err == nil {
		t.Error("values without a digest are pinned, want an error")
	}
}
