package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/workload"
)

// runID is the UID of the only run below a base.
func (d *destination) runID(t *testing.T, base string) string {
	t.Helper()
	prefix := base + "/.cargoship/"
	for o := range d.client.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		uid, _, _ := strings.Cut(strings.TrimPrefix(o.Key, prefix), "/")
		return uid
	}
	t.Fatal("no run")
	return ""
}

// serve is an API server that holds objects, by their path; it returns a kubeconfig.
func serve(t *testing.T, objects map[string]any) string {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		object := objects[r.URL.Path]
		if object == nil {
			w.WriteHeader(http.StatusForbidden)
			object = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "forbidden"}
		}
		_ = json.NewEncoder(w).Encode(object)
	}))
	t.Cleanup(api.Close)
	config := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, namespace: media}}], clusters: [{name: c, cluster: {server: "` + api.URL + `"}}]}`
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// plugin runs kubectl cargoship, and gives what it prints and its verdict.
func plugin(ctx context.Context, t *testing.T, kubeconfig string, args ...string) (stdout, line string, code int) {
	t.Helper()
	var out strings.Builder
	root := newProgram(append([]string{pluginName, "--kubeconfig", kubeconfig}, args...))
	root.SetOut(&out)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		line, code = cli.Verdict(ctx, cmd, err)
	}
	return out.String(), line, code
}

// What a transfer has archived is read by its name alone.
func TestArchivesOfATransfer(t *testing.T) {
	d := newDestination(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := work(t, d.args(dir, "base", "--packing", "tar")...); r.code != 0 {
		t.Fatal(r.stderr)
	}
	at := v1alpha1.ArchiveTransfer{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: workload.KindTransfer}}
	at.Name, at.Namespace, at.UID = "photos", "media", "other"
	at.Spec.Destination.Location = v1alpha1.Location{Bucket: bucket, Prefix: "base", Region: d.Region, Endpoint: d.Endpoint,
		AddressingStyle: v1alpha1.AddressingPath, Credentials: v1alpha1.Credentials{SecretName: "s3"}}
	secret := corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		Data: map[string][]byte{v1alpha1.SecretKeyAccessKeyID: []byte(d.AccessKey), v1alpha1.SecretKeySecretAccessKey: []byte(d.SecretKey + "\n")}}
	objects := map[string]any{"/apis/transfer.cargoship.dev/v1alpha1/namespaces/media/archivetransfers/photos": &at}
	kubeconfig := serve(t, objects)
	t.Setenv("AWS_ACCESS_KEY_ID", "somebody-else's")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

	if _, line, code := plugin(t.Context(), t, kubeconfig, "ls", "photos"); code != 1 || !strings.Contains(line, "ask for the verb get on secrets") {
		t.Errorf("without a right to the Secret: %d, %s", code, line)
	}
	objects["/api/v1/namespaces/media/secrets/s3"] = &secret
	if _, line, code := plugin(t.Context(), t, kubeconfig, "ls", "photos"); code != 1 || !strings.Contains(line, "other") {
		t.Errorf("another run than that of the transfer is read: %d, %s", code, line)
	}
	at.UID = types.UID(d.runID(t, "base"))
	if out, line, code := plugin(t.Context(), t, kubeconfig, "ls", "photos", "*.txt"); code != 0 || !strings.HasSuffix(out, " a.txt\n") {
		t.Errorf("ls ends with %d, %s\n%s", code, line, out)
	}
	if out, line, code := plugin(t.Context(), t, kubeconfig, "verify", "photos", "--read-back"); code != 0 || !strings.Contains(out, "0 wrong") {
		t.Errorf("verify ends with %d, %s\n%s", code, line, out)
	}
	if _, line, code := plugin(t.Context(), t, kubeconfig, "report", "photos"); code != 1 || !strings.Contains(line, "it has not ended") {
		t.Errorf("a report of a transfer that runs: %d, %s", code, line)
	}
	at.Status.CompletionTime, at.Spec.Destination.StorageClass = ptr.To(metav1.Now()), "GLACIER_IR"
	at.Spec.Destination.ServerSideEncryption = &v1alpha1.ServerSideEncryption{Algorithm: "aws:kms"}
	out, line, code := plugin(t.Context(), t, kubeconfig, "report", "photos", "-o", "json")
	if code != 0 || !strings.Contains(out, `"fleet": {`) || !strings.Contains(out, `"class": "GLACIER_IR"`) || strings.Contains(out, `"kmsOnce": 0,`) {
		t.Errorf("report ends with %d, %s\n%s", code, line, out)
	}
	keepsToSchema(t, out)
	back := filepath.Join(t.TempDir(), "back")
	_, line, code = plugin(t.Context(), t, kubeconfig, "restore", "photos", back)
	if text, err := os.ReadFile(filepath.Join(back, "a.txt")); code != 0 || err != nil || string(text) != "text" {
		t.Errorf("restore ends with %d, %s: %q, %v", code, line, text, err)
	}
	at.Spec.Destination.Endpoint = "http://minio.storage.svc:9000"
	if _, line, code := plugin(t.Context(), t, kubeconfig, "ls", "photos"); code != 1 || !strings.Contains(line, "kubectl port-forward") {
		t.Errorf("an endpoint within the cluster: %d, %s", code, line)
	}
	if _, line, code := plugin(t.Context(), t, kubeconfig, "ls", "photos", "--endpoint-url", d.Endpoint, "--credentials-dir", d.creds); code != 0 {
		t.Errorf("flags: %d, %s", code, line)
	}
}
