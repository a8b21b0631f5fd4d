package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cargoship.dev/operator/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWrongUseExitsWith2(t *testing.T) {
	conditions := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(conditions, []byte("seed: 1\nfaults:\n- kind: Gremlin\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, `--backend "" is neither discard nor a URL`},
		{[]string{"--backend", "ftp://x"}, `--backend "ftp://x" is neither`},
		{[]string{"--backend", "discard", "extra"}, `unexpected argument "extra"`},
		{[]string{"--backend", "discard", "--conditions", conditions}, conditions + ":3: faults[0].kind:"},
		{[]string{"--backend", "discard", "--certificate", "x"}, "--certificate needs --tls"},
		{[]string{"--backend", "http://127.0.0.1:1", "--keep", "x"}, "--keep needs --backend discard"},
		{[]string{"--backend", "http://127.0.0.1:1", "--glacier", "soon"}, "invalid value"},
		{[]string{"--no-such-flag"}, "flag provided but not defined"},
	} {
		var stderr bytes.Buffer
		if code := start(t.Context(), c.args, io.Discard, &stderr); code != exitUsage || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("s3lab %v: exit code %d, said %q, want 2 and %q", c.args, code, &stderr, c.want)
		}
	}
}

// TestGlacierKeepsBookkeepingReadable has a server in front of which archives are in Glacier, and
// what CargoShip has to read at any time is not.
func TestGlacierKeepsBookkeepingReadable(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }))
	defer server.Close()
	b, err := configure(options{backend: server.URL, glacier: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(b.Lab)
	defer front.Close()
	for key, want := range map[string]int{
		"/bucket/base/a.tar": http.StatusForbidden, "/bucket/base/.cargoship/run/plan.json": http.StatusOK, "/bucket/.cargoship/x": http.StatusOK,
	} {
		response, err := front.Client().Get(front.URL + key)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", key, response.StatusCode, want)
		}
	}
	front.Client().CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
}

func TestServesAndPrintsStatistics(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told, teller := io.Pipe()
	var stdout bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- start(ctx, []string{"--backend", "discard", "--stats", "127.0.0.1:0"}, &stdout, teller)
	}()
	address := regexp.MustCompile(`http://[0-9.:]+`)
	lines := make([]byte, 0, 256)
	for len(address.FindAll(lines, -1)) < 2 || !bytes.HasSuffix(lines, []byte("\n")) {
		more := make([]byte, 256)
		n, err := told.Read(more)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, more[:n]...)
	}
	addresses := address.FindAllString(string(lines), 2)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	put, _ := http.NewRequest(http.MethodPut, addresses[1]+"/bucket/key", strings.NewReader("four"))
	for _, r := range []*http.Request{put, mustGet(t, addresses[0]+"/")} {
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.Body.Close() != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %s, error %v", r.Method, r.URL, response.Status, err)
		}
		if r.Method == http.MethodGet {
			wantStatistics(t, body)
		}
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	wantStatistics(t, stdout.Bytes())
}

func mustGet(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantStatistics(t *testing.T, text []byte) {
	t.Helper()
	var s lab.Stats
	if err := json.Unmarshal(text, &s); err != nil || s.Total.Requests != 1 || s.Total.DataBytesIn != 4 {
		t.Errorf("statistics %s, error %v, want one request with 4 bytes", text, err)
	}
}
