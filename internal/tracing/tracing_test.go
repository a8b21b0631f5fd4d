package tracing_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"cargoship.dev/operator/internal/tracing"
	"cargoship.dev/operator/internal/tracing/tracingtest"
)

// start starts tracing with an environment, and returns what is logged.
func start(t *testing.T, env map[string]string) (stop func(context.Context) error, log *lines) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	log = &lines{}
	stop, err := tracing.Start(t.Context(), "test", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return stop, log
}

// leavesNothing fails a test that leaves goroutines, those of its servers included.
func leavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// lines is what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

// work makes a span below another.
func work() {
	ctx, outer := tracing.Begin(context.Background(), "outer")
	outer.Text("text", "a")
	outer.Text("none", "")
	_, inner := tracing.BeginRequest(ctx, "inner")
	inner.Number("number", 7)
	inner.Fail("broken")
	inner.End()
	outer.End()
}

func TestSpansReachTheCollector(t *testing.T) {
	leavesNothing(t)
	c := tracingtest.Start(t)
	stop, log := start(t, map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL + "/", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=a%20b,Other = c=d",
		"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine",
	})
	work()
	if err := stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	work() // too late
	spans := c.Spans("")
	if len(spans) != 2 {
		t.Fatalf("spans %+v, want two", spans)
	}
	inner, outer := spans[0], spans[1]
	if inner.Parent != outer.ID || outer.Parent != "" || inner.Trace != outer.Trace {
		t.Errorf("%+v is not below %+v", inner, outer)
	}
	if !inner.Failed || inner.Reason != "broken" || outer.Failed {
		t.Errorf("%+v should have failed, %+v not", inner, outer)
	}
	want := []map[string]any{{"number": int64(7)}, {"text": "a"}}
	if diff := cmp.Diff(want, []map[string]any{inner.Attributes, outer.Attributes}); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if h := c.Headers()[0]; h.Get("Api-Key") != "a b" || h.Get("Other") != "c=d" {
		t.Errorf("headers %v", h)
	}
	if diff := cmp.Diff([]string{"mine"}, c.Services()); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if got := log.all(); got[0] != "" {
		t.Errorf("log %q", got)
	}
}

func TestNothingIsTracedUnlessAsked(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"no endpoint":  {"OTEL_RESOURCE_ATTRIBUTES": "a=b"},
		"disabled":     {"OTEL_SDK_DISABLED": "TRUE"},
		"no exporter":  {"OTEL_TRACES_EXPORTER": "none"},
		"none sampled": {"OTEL_TRACES_SAMPLER": "always_off"},
	} {
		t.Run(name, func(t *testing.T) {
			c := tracingtest.Start(t)
			if name != "no endpoint" {
				t.Setenv(tracing.EndpointEnv, c.URL)
			}
			before := goleak.IgnoreCurrent()
			stop, _ := start(t, env)
			if name != "none sampled" {
				goleak.VerifyNone(t, before) // it has started nothing
				if n := testing.AllocsPerRun(100, work); n != 0 {
					t.Errorf("a span that nobody asked for takes %v allocations", n)
				}
			}
			work()
			if err := stop(context.Background()); err != nil || len(c.Headers()) > 0 {
				t.Errorf("%v; %d requests were sent, want none", err, len(c.Headers()))
			}
		})
	}
}

func TestAMistakeIsNamed(t *testing.T) {
	const endpoint, secret = tracing.EndpointEnv, "hunter2"
	for name, env := range map[string]map[string]string{
		endpoint + " must be":                             {endpoint: "localhost:4317"},
		endpoint + " must":                                {endpoint: "http://user:" + secret + "@h"},
		endpoint + " must be like":                        {endpoint: "http://"},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT must be":      {endpoint: "http://h", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "ftp://h"},
		"OTEL_EXPORTER_OTLP_HEADERS must":                 {endpoint: "http://h", "OTEL_EXPORTER_OTLP_HEADERS": secret},
		"OTEL_EXPORTER_OTLP_TIMEOUT is":                   {endpoint: "http://h", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s"},
		`OTEL_EXPORTER_OTLP_PROTOCOL is "grpc"`:           {endpoint: "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
		"OTEL_TRACES_SAMPLER_ARG must be a number betwee": {endpoint: "http://h", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.5"},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range env {
				t.Setenv(name, value)
			}
			_, err := tracing.Start(t.Context(), "test", slog.New(slog.DiscardHandler))
			if err == nil || !strings.HasPrefix(err.Error(), name) || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v, want one that begins with %q", err, name)
			}
		})
	}
}

// A collector that is busy is asked again, in its own time.
func TestABusyCollectorIsAskedAgain(t *testing.T) {
	asked := make(chan time.Time, 10)
	var again atomic.Bool
	c := tracingtest.StartAnswering(t, func(w http.ResponseWriter, _ *http.Request) bool {
		asked <- time.Now()
		if again.Swap(true) {
			return false
		}
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	stop, log := start(t, map[string]string{tracing.EndpointEnv: c.URL})
	work()
	first, second := <-asked, <-asked
	if err := stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if waited := second.Sub(first); len(c.Spans("")) != 2 || len(asked) > 0 || waited < time.Second || log.all()[0] != "" {
		t.Errorf("%d spans came after %v, %d more requests; log %q", len(c.Spans("")), waited, len(asked), log.all())
	}
}

// What a collector does is no trouble of those who are traced, and the log tells of it once.
func TestACollectorInTroubleHoldsNothingUp(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"hangs":   hang,
		"is down": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"rejects": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"redirects": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusPermanentRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			leavesNothing(t)
			var elsewhere atomic.Bool
			c := tracingtest.StartAnswering(t, func(w http.ResponseWriter, r *http.Request) bool {
				elsewhere.Store(elsewhere.Load() || r.URL.Path != "/v1/traces")
				answer(w, r)
				return true
			})
			stop, log := start(t, map[string]string{tracing.EndpointEnv: c.URL})
			begun := time.Now()
			for range 5000 { // more than are kept, and several batches
				work()
			}
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("spans took %v", took)
			}
			begun = time.Now()
			late := stop(context.Background())
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("the end took %v", took)
			}
			if got := log.all(); len(got) != 1 || late == nil && !strings.Contains(got[0], "traces not sent") || elsewhere.Load() {
				t.Errorf("log %q, want one line; redirects followed: %t", got, elsewhere.Load())
			}
		})
	}
}

func TestHandedHoldsNoSecret(t *testing.T) {
	if got := tracing.Handed(); got != nil {
		t.Errorf("%v are handed on without an endpoint", got)
	}
	for name, value := range map[string]string{
		tracing.EndpointEnv: "http://h:4318", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hunter2",
		"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1",
	} {
		t.Setenv(name, value)
	}
	want := []string{tracing.EndpointEnv + "=http://h:4318", "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1"}
	if diff := cmp.Diff(want, tracing.Handed()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	if got := tracing.Handed(); got != nil {
		t.Errorf("%v are handed on although tracing is off", got)
	}
}
