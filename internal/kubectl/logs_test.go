package kubectl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"cargoship.dev/operator/api/v1alpha1"
	"cargoship.dev/operator/internal/workload"
)

func logOf(pod, text string) *podLog { return newPodLog(pod, io.NopCloser(strings.NewReader(text))) }

func TestLogsAreMergedByTime(t *testing.T) {
	var out bytes.Buffer
	err := merge([]*podLog{
		logOf("b", "2026-03-01T12:00:02Z two\n2026-03-01T12:00:02.5Z \x1b[2Jthree\na line without a time\n"),
		logOf("a", "2026-03-01T12:00:01Z one\n2026-03-01T12:00:04Z five"),
		logOf("empty", ""),
	}, &logPrinter{out: &out})
	want := "[a] one\n[b] two\n[b] \\033[2Jthree\n[b] a line without a time\n[a] five\n"
	if err != nil || out.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out.String(), want)
	}
}

// However lines are divided over pods, all of them come, in order.
func TestMergedLogsAreComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := make([]string, 3)
		var want []string
		for i := range rapid.IntRange(0, 40).Draw(t, "lines") {
			at := time.Unix(int64(i), 0).UTC().Format(time.RFC3339Nano)
			pod := rapid.IntRange(0, 2).Draw(t, "pod")
			texts[pod] += fmt.Sprintf("%s line %d\n", at, i)
			want = append(want, fmt.Sprintf("[%d] line %d", pod, i))
		}
		var out bytes.Buffer
		var logs []*podLog
		for i, text := range texts {
			logs = append(logs, logOf(fmt.Sprint(i), text))
		}
		if err := merge(logs, &logPrinter{out: &out}); err != nil {
			t.Fatal(err)
		}
		got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(want) > 0 && !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestALogThatBreaksIsToldOf(t *testing.T) {
	broken := newPodLog("a", io.NopCloser(io.MultiReader(strings.NewReader("2026-03-01T12:00:01Z one\n"), iotest.ErrReader(errors.New("connection lost")))))
	var out bytes.Buffer
	err := merge([]*podLog{broken, logOf("b", "2026-03-01T12:00:02Z two\n")}, &logPrinter{out: &out})
	if err == nil || !strings.Contains(err.Error(), "read the log of pod a: connection lost") || !strings.Contains(out.String(), "[b] two") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// serveLogs is an API server with a transfer of three pods, of which one has no log yet.
func serveLogs(t *testing.T) (kubeconfig string) {
	t.Helper()
	at := &v1alpha1.ArchiveTransfer{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: workload.KindTransfer},
		ObjectMeta: metav1.ObjectMeta{Name: "photos", Namespace: "default", UID: "u1"}}
	pods := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}}
	for _, name := range []string{"w-1", "w-0", "w-2"} {
		pods.Items = append(pods.Items, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}})
	}
	mux := http.NewServeMux()
	answer := func(object any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if s := r.URL.Query().Get("labelSelector"); r.URL.Path == "/api/v1/namespaces/default/pods" && s != v1alpha1.LabelTransferUID+"=u1" {
				t.Errorf("pods are selected by %q", s)
			}
			_ = json.NewEncoder(w).Encode(object)
		}
	}
	mux.HandleFunc("GET /apis/transfer.cargoship.dev/v1alpha1/namespaces/default/archivetransfers/photos", answer(at))
	mux.HandleFunc("GET /api/v1/namespaces/default/pods", answer(pods))
	mux.HandleFunc("GET /api/v1/namespaces/default/pods/{name}/log", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Query().Get("timestamps") != "true":
			t.Errorf("the log is asked for as %s", r.URL)
		case r.PathValue("name") == "w-2":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			answer(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: 400, Reason: "BadRequest",
				Message: "container worker is waiting to start"})(w, r)
		default:
			_, _ = fmt.Fprintf(w, "2026-03-01T12:00:0%s.5Z of %s\n", r.PathValue("name")[2:], r.PathValue("name"))
		}
	})
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: [{name: c, cluster: {server: %q}}]}`, api.URL), 0o600))
	return kubeconfig
}

func TestLogs(t *testing.T) {
	kubeconfig := serveLogs(t)
	for _, args := range [][]string{{"logs", "photos"}, {"logs", "photos", "--tail", "5", "--since", "1h"}} {
		r := callWith(t.Context(), t, kubeconfig, args...)
		if r.code != 0 || r.stdout != "[w-0] of w-0\n[w-1] of w-1\n" || !strings.Contains(r.stderr, "no log of pod w-2: container worker is waiting to start") {
			t.Errorf("%q gives %+v", args, r)
		}
	}
	r := callWith(t.Context(), t, kubeconfig, "logs", "photos", "-f", "--timestamps")
	contains(t, r.stdout, "2026-03-01T12:00:00.5Z [w-0] of w-0\n", "[w-1] of w-1\n")
	if r := callWith(t.Context(), t, kubeconfig, "logs", "photos", "-f", "-p"); r.code != 2 {
		t.Errorf("--follow with --previous: %+v", r)
	}
}
