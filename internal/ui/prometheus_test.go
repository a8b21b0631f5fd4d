package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recorded is a Prometheus server with one run: ten minutes, two prefixes.
func recorded(t *testing.T) (address string, queries *[]string) {
	t.Helper()
	queries = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		*queries = append(*queries, query)
		series := func(labels string, value int) string {
			return fmt.Sprintf(`{"metric":{%s},"values":[[%d,"%d"],[%d,"%d"]]}`, labels, epoch.Unix(), value, epoch.Add(10*time.Minute).Unix(), 2*value)
		}
		result := series("", 30)
		switch {
		case strings.Contains(query, "by (namespace, transfer, uid)"):
			result = series(`"uid":"u-1","transfer":"pho\u001btos","namespace":"n"`, 1024)
		case strings.HasPrefix(query, "max by (prefix)"):
			result = series(`"prefix":"a"`, 10) + "," + series(`"prefix":"b"`, 20)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, result)
	}))
	t.Cleanup(server.Close)
	return server.URL, queries
}

func TestPastRuns(t *testing.T) {
	address, queries := recorded(t)
	p, err := NewPrometheus(address, "n")
	if err != nil {
		t.Fatal(err)
	}
	runs, err := p.Runs(t.Context())
	if err != nil || len(runs) != 1 {
		t.Fatalf("%+v, %v", runs, err)
	}
	want := PastRun{UID: "u-1", Name: `pho\033tos`, Namespace: "n", Begin: epoch.Add(-time.Minute), End: epoch.Add(10 * time.Minute), Duration: "11m0s", Sent: "2.00 KiB"}
	runs[0].Begin, runs[0].End = runs[0].Begin.UTC(), runs[0].End.UTC()
	if diff := cmp.Diff(want, runs[0]); diff != "" {
		t.Error(diff)
	}
	one, err := p.Run(t.Context(), `u-1"} or vector(1) #`)
	if err != nil {
		t.Fatal(err)
	}
	values := map[Key]Values{}
	for _, c := range one.Track.Curves {
		values[c.Key] = c.Values
	}
	if diff := cmp.Diff(Values{20, 40}, values[Key{ByPrefix, "b", Window}]) + cmp.Diff(Values{30, 60}, values[throughput]); diff != "" {
		t.Error(diff)
	}
	for _, query := range *queries {
		if !strings.Contains(query, `namespace="n"`) {
			t.Errorf("it asks for other namespaces: %s", query)
		}
		if strings.Contains(query, "vector") && !strings.Contains(query, `uid="u-1\"} or vector(1) #"`) {
			t.Errorf("a UID becomes a part of the query: %s", query)
		}
	}
}

func TestAnAddressOfPrometheus(t *testing.T) {
	for _, address := range []string{"", "localhost:9090", "ftp://p", "http://", "prometheus", "http://%"} {
		if _, err := NewPrometheus(address, ""); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}

// deaf is a Past that fails.
type deaf struct{ error }

func (d deaf) Runs(context.Context) ([]PastRun, error)      { return nil, d.error }
func (d deaf) Run(context.Context, string) (PastRun, error) { return PastRun{}, d.error }

func TestPastRunsAreAListEvenIfThereAreNone(t *testing.T) {
	for want, err := range map[string]error{`{"runs":[]}`: nil, `{"runs":[],"error":"nothing is known of this run"}`: errNoRun} {
		w := httptest.NewRecorder()
		pastHandler(deaf{err})(w, httptest.NewRequest(http.MethodGet, "/past", nil))
		if got := strings.TrimSpace(w.Body.String()); got != want || !json.Valid([]byte(got)) {
			t.Errorf("answered %s, want %s", got, want)
		}
	}
}
