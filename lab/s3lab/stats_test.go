package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"cargoship.dev/operator/lab"
)

// post returns the answer, which must have the status that is wanted.
func post(t *testing.T, client *http.Client, path, text string, want int) string {
	t.Helper()
	response, err := client.Post("http://lab/"+path, "application/yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.Body.Close() != nil || response.StatusCode != want {
		t.Errorf("POST %s %q: %s %q, error %v, want %d", path, text, response.Status, body, err, want)
	}
	return string(body)
}

// TestASocketServesStatisticsAndTakesConditions has conditions changed while the lab serves.
func TestASocketServesStatisticsAndTakesConditions(t *testing.T) {
	b := bench{Lab: lab.New(lab.Options{Backend: lab.NewDiscard(), Plan: lab.Plan{Conditions: lab.Conditions{
		Partitions: []lab.Partition{{RequestsPerSecond: 0.001}}, ReadOnly: []string{"closed"},
	}}})}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	socket := filepath.Join(t.TempDir(), "stats")
	on, err := listenForStats("unix:" + socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { served <- serveStats(ctx, on, b) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	post := func(path, text string, want int) string { return post(t, client, path, text, want) }
	put := func(bucket string) int {
		answer := httptest.NewRecorder()
		b.ServeHTTP(answer, httptest.NewRequest(http.MethodPut, "/"+bucket+"/key", strings.NewReader("four")))
		return answer.Code
	}

	put("open")
	if got := put("open"); got != http.StatusServiceUnavailable {
		t.Errorf("PUT beyond the rate: %d", got)
	}
	if seen := post("reset", "", http.StatusOK); !strings.Contains(seen, `"requests": 2,`) || !strings.Contains(seen, `"throttled": 1,`) {
		t.Errorf("statistics until they were reset: %s", seen)
	}
	for text, want := range map[string]string{"partitons: []": "no such field", "seed: 7": "no seed", "schedule: [{at: 1s}]": "no schedule"} {
		if got := post("conditions", text, http.StatusBadRequest); !strings.Contains(got, want) {
			t.Errorf("conditions %q: %q, want %q", text, got, want)
		}
	}
	post("conditions", "partitions: []", http.StatusOK)
	if got := put("open"); got != http.StatusOK {
		t.Errorf("PUT without a rate: %d", got)
	}
	if got := put("closed"); got != http.StatusForbidden {
		t.Errorf("PUT into a bucket that was closed before: %d", got)
	}
	if s := b.Stats(); s.Total.Requests != 2 || s.Changes != 1 {
		t.Errorf("after the change: %d requests, %d changes", s.Total.Requests, s.Changes)
	}
}
