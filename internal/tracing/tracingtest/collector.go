// Package tracingtest is a collector of spans, for tests.
package tracingtest

import (
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"cargoship.dev/operator/internal/tracing"
)

// Span is what a collector was told of a span.
type Span struct {
	Name, ID, Parent, Trace string
	// Attributes are texts, and numbers as such.
	Attributes map[string]any
	Failed     bool
	Reason     string
}

// Collector takes spans as OTLP over HTTP.
type Collector struct {
	URL string

	// answer, if set, may answer a request in place of the collector, and says whether it has.
	answer func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	spans    []Span
	services []string
	headers  []http.Header
}

// Start starts a collector.
func Start(tb testing.TB) *Collector {
	tb.Helper()
	return StartAnswering(tb, nil)
}

// StartAnswering starts a collector in whose place answer may answer; it says whether it has.
func StartAnswering(tb testing.TB, answer func(w http.ResponseWriter, r *http.Request) bool) *Collector {
	tb.Helper()
	c := &Collector{answer: answer}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { c.take(tb, w, r) }))
	tb.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) take(tb testing.TB, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || c.answer != nil && c.answer(w, r) {
		return
	}
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
		tb.Errorf("%s %s with %d bytes, error %v; want spans posted to /v1/traces", r.Method, r.URL.Path, len(body), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	for _, resource := range data.ResourceSpans {
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				c.services = append(c.services, a.Value.GetStringValue())
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, spanOf(s))
			}
		}
	}
}

func spanOf(s *tracepb.Span) Span {
	span := Span{
		Name: s.Name, ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId), Trace: hex.EncodeToString(s.TraceId),
		Attributes: map[string]any{}, Failed: s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR, Reason: s.Status.GetMessage(),
	}
	for _, a := range s.Attributes {
		span.Attributes[a.Key] = a.Value.GetStringValue()
		if span.Attributes[a.Key] == "" {
			span.Attributes[a.Key] = a.Value.GetIntValue()
		}
	}
	return span
}

// Spans returns the spans of a name, in the order in which they came; of all with "".
func (c *Collector) Spans(name string) []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.spans), func(s Span) bool { return name != "" && s.Name != name })
}

// Services returns the names of the services that sent batches.
func (c *Collector) Services() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.services)
}

// Headers returns those of the requests that were taken.
func (c *Collector) Headers() []http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.headers)
}

// Trace has this process send its spans to a collector for as long as the test runs. flush ends
// that, and sends what is left.
func Trace(t *testing.T) (c *Collector, flush func()) {
	t.Helper()
	c = Start(t)
	t.Setenv(tracing.EndpointEnv, c.URL)
	var log strings.Builder
	stop, err := tracing.Start(t.Context(), "test", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	flush = sync.OnceFunc(func() {
		if err := stop(context.Background()); err != nil || log.Len() > 0 {
			t.Errorf("end of the traces: %v, log %q", err, log.String())
		}
	})
	t.Cleanup(flush)
	return c, flush
}
