package kubectl

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/api/v1alpha1"
)

// unpack reads a bundle.
func unpack(t *testing.T, file string) (all string, names []string) {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close() //nolint:errcheck // It is a test's.
	zip, err := gzip.NewReader(f)
	must(t, err)
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, names
		}
		must(t, err)
		text, err := io.ReadAll(r)
		must(t, err)
		all, names = all+h.Name+"\n"+string(text), append(names, strings.TrimPrefix(h.Name, "cargoship-support/"))
	}
}

func TestSupportBundle(t *testing.T) {
	ns := namespace(t)
	s := status(is(v1alpha1.ConditionProgressing, metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound))
	s.Conditions[0].Message = `worker photos-workers-0 can't read "hidden/file.txt" of bucket archive`
	s.Prefixes = []v1alpha1.PrefixStatus{{Name: "hidden-prefix", ThrottledPerMille: ptr.To(int32(77))}}
	at := transfer(t, ns, "photos", s)
	lease(t, at, "photos-workers-0", v1alpha1.LimitedBySource)
	must(t, server.api.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "s3"}, StringData: map[string]string{"AWS_SECRET_ACCESS_KEY": "hunter2"}}))
	for _, hash := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "bundle.tar.gz")
		args := []string{"support-bundle", "-n", ns, "photos", "-f", file}
		if hash {
			args = append(args, "--hash-names")
		}
		if r := call(t.Context(), t, args...); r.code != 0 || !strings.Contains(r.stdout, file) {
			t.Fatalf("%+v", r)
		}
		all, names := unpack(t, file)
		contains(t, strings.Join(names, " "), "transfer.yaml", "leases/0.yaml", "events.txt", "explain.txt", "versions.txt", "not-included.txt")
		contains(t, all, "reason: SecretNotFound", "throttledPerMille: 77", "limitedBy: Source", "kubernetes v")
		for _, name := range []string{"photos", ns, "hidden", "file.txt", "archive\n", "workers-0"} {
			if strings.Contains(all, name) == hash {
				t.Errorf("names are hashed: %v, and %q is there: %v", hash, name, !hash)
			}
		}
		if strings.Contains(all, "hunter2") || strings.Contains(all, "managedFields") {
			t.Error("it holds what it must not")
		}
		if r := call(t.Context(), t, args...); r.code != 1 || !strings.Contains(r.line, "exists") {
			t.Errorf("a file is overwritten: %+v", r)
		}
	}
}

func TestScrub(t *testing.T) {
	for text, want := range map[string]string{
		"put https://h/b/k?X-Amz-Signature=abc123&x=1 failed":            "put https://h/b/k?X-Amz-Signature=(removed)&x=1 failed",
		"key AKIAIOSFODNN7EXAMPLE is unknown":                            "key (removed) is unknown",
		`{"level":"INFO","Authorization":"AWS4-HMAC"}`:                   `{"level":"INFO","Authorization":"(removed)"}`,
		"started 17 requests in 2.5s":                                    "started 17 requests in 2.5s",
		"https://h/?X-Amz-Credential=AKIA%2F2026&X-Amz-Security-Token=t": "https://h/?X-Amz-Credential=(removed)&X-Amz-Security-Token=(removed)",
		`{"secretAccessKey":"abc","attempt":3}`:                          `{"secretAccessKey":"(removed)","attempt":3}`,
		"SecretNotFound: secretName=s3 does not exist":                   "SecretNotFound: secretName=s3 does not exist",
		"rate 5 tokens=17 password=a&b, next=1":                          "rate 5 tokens=17 password=(removed) next=1",
		`the credentials Secret "s3" has no key AWS_ACCESS_KEY_ID`:       `the credentials Secret "s3" has no key AWS_ACCESS_KEY_ID`,
	} {
		if got := newScrubber(false).text(text); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
	s := newScrubber(true)
	word := s.hash("bucket-of-ours")
	if got := s.text(`put "a/b.txt" into bucket-of-ours failed`); strings.Contains(got, "a/b") || !strings.HasSuffix(got, "into "+word+" failed") {
		t.Error(got)
	}
	if got := s.line(`{"time":"T","level":"WARN","msg":"retrying","key":"dir/a.txt","attempt":3}`); strings.Contains(got, "dir/a") || !strings.Contains(got, `"msg":"retrying"`) || !strings.Contains(got, `"attempt":3`) {
		t.Error(got)
	}
	if newScrubber(true).hash("a") == s.hash("a") {
		t.Error("hashes of two bundles can be compared")
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"note": "hunter2"}}}
	pod.Spec.Containers = []corev1.Container{{Name: "worker", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "hunter2"}}}}
	tree, err := newScrubber(false).object(pod)
	must(t, err)
	if text := strings.ToLower(toYAML(t, tree)); strings.Contains(text, "hunter2") {
		t.Error(text)
	}
}

func TestNoSecretIsLeftInText(t *testing.T) {
	const key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY"
	for _, text := range []string{
		"AWS_SECRET_ACCESS_KEY=" + key,
		"aws_secret_access_key = " + key,
		`"secretAccessKey":"` + key + `"`,
		`{"msg":"put {\"secretAccessKey\":\"` + key + `\"}"}`,
		`password: "two words ` + key + `"`,
		"MINIO_ROOT_PASSWORD='" + key + "'",
		"--secret-key " + key,
		"--token " + key,
		"--secret-key=" + key,
		"Authorization: Bearer " + key,
		"authorization: AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host, Signature=" + key,
		"X-Amz-Security-Token: " + key,
		"https://user:" + strings.ReplaceAll(key, "/", "%2F") + "@proxy:3128",
		"-----BEGIN RSA PRIVATE KEY-----\n" + key,
	} {
		for _, hash := range []bool{false, true} {
			s := newScrubber(hash)
			for _, got := range []string{s.text(text), s.line(text)} {
				if strings.Contains(got, key[len(key)-12:]) || !strings.Contains(got, removed) && !hash {
					t.Errorf("left in: %s", got)
				}
			}
		}
	}
}

func toYAML(t *testing.T, tree any) string {
	t.Helper()
	text, err := yaml.Marshal(tree)
	must(t, err)
	return string(text)
}
