package nodeagent

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestExpand(t *testing.T) {
	known := map[string]string{"A": "1", "B": "$(A)"}
	for text, want := range map[string]string{
		"$(A)":       "1",
		"x$(A)y$(A)": "x1y1",
		"$(B)":       "$(A)", // a value is not expanded again
		"$(C)":       "$(C)",
		"$$(A)":      "$(A)",
		"$A $":       "$A $",
	} {
		if got := expand(text, known); got != want {
			t.Errorf("expand(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestRewrite(t *testing.T) {
	mounts := []mount{{path: "/source/inner", real: "/r/inner"}, {path: "/source", real: "/r/source"}}
	for text, want := range map[string]string{
		"/source":                "/r/source",
		"--dir=/source/a":        "--dir=/r/source/a",
		"/source/inner/x":        "/r/inner/x",
		"/source:/source/inner":  "/r/source:/r/inner",
		"/sources":               "/sources",
		"/other/source":          "/other/source",
		`{"path":"/source"}`:     `{"path":"/source"}`,
		"s3://bucket/source/key": "s3://bucket/source/key",
	} {
		if got := rewrite(text, mounts); got != want {
			t.Errorf("rewrite(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestDivideRoundsUp(t *testing.T) {
	for _, c := range []struct{ amount, divisor, want string }{
		{"512Mi", "0", "536870912"},
		{"512Mi", "1Mi", "512"},
		{"513Mi", "1Gi", "1"},
		{"250m", "0", "1"},
		{"250m", "1m", "250"},
	} {
		got := divide(resource.MustParse(c.amount), resource.MustParse(c.divisor))
		if got != c.want {
			t.Errorf("divide(%s, %s) = %s, want %s", c.amount, c.divisor, got, c.want)
		}
	}
}

func TestPhase(t *testing.T) {
	running := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	ended := func(code int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}
	}
	for name, c := range map[string]struct {
		containers []corev1.ContainerStatus
		started    bool
		want       corev1.PodPhase
	}{
		"not started":             {[]corev1.ContainerStatus{{}}, false, corev1.PodPending},
		"one runs":                {[]corev1.ContainerStatus{running, ended(1)}, true, corev1.PodRunning},
		"all ended well":          {[]corev1.ContainerStatus{ended(0), ended(0)}, true, corev1.PodSucceeded},
		"all ended, one in error": {[]corev1.ContainerStatus{ended(0), ended(137)}, true, corev1.PodFailed},
	} {
		if got := phase(c.containers, c.started); got != c.want {
			t.Errorf("%s: phase %s, want %s", name, got, c.want)
		}
	}
}

func TestReplaceContent(t *testing.T) {
	dir := t.TempDir()
	for _, files := range []map[string][]byte{
		{"a": []byte("1"), "deep/b": []byte("2")},
		{"a": []byte("3"), "c": []byte("4")},
		{},
	} {
		if err := replaceContent(dir, files); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, name := range []string{"a", "deep/b", "c"} {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				got[name] = string(text)
			}
		}
		want := map[string]string{}
		for name, text := range files {
			want[name] = string(text)
		}
		if !maps.Equal(got, want) {
			t.Errorf("the directory holds %v, want %v", got, want)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 { // ..data and the state it leads to
		t.Errorf("the directory still holds %v (error %v), want the link and the last state only", left, err)
	}
}

func TestReplaceContentStaysInside(t *testing.T) {
	if err := replaceContent(t.TempDir(), map[string][]byte{"../out": nil}); err == nil {
		t.Error("a file outside of the volume was written")
	}
}
