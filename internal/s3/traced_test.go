package s3

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cargoship.dev/operator/internal/s3/s3test"
	"cargoship.dev/operator/internal/tracing"
	"cargoship.dev/operator/internal/tracing/tracingtest"
)

// sameAnswer answers every request in the same way.
type sameAnswer struct{ response *http.Response }

func (a sameAnswer) RoundTrip(*http.Request) (*http.Response, error) { return a.response, nil }

func TestARequestThatIsNotTracedTakesNoMemory(t *testing.T) {
	transport := tracedTransport{sameAnswer{&http.Response{StatusCode: http.StatusOK, Body: http.NoBody}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://host/key", nil)
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		response, err := transport.RoundTrip(request)
		if err != nil || response.Body != http.NoBody || response.Body.Close() != nil {
			t.Fatalf("the answer is not as it was: %v", err)
		}
	})
	if n != 0 {
		t.Errorf("a request takes %v allocations", n)
	}
}

func TestEachRequestHasASpanWithoutItsKey(t *testing.T) {
	r := newRig(t)
	c, flush := tracingtest.Trace(t)
	ctx, span := tracing.Begin(t.Context(), "archive")
	r.proxy.Times(1, s3test.IsPut, s3test.Refuse(http.StatusServiceUnavailable, "SlowDown"))
	if err := r.Put(ctx, "hidden-key", []byte("content")); err != nil {
		t.Fatal(err)
	}
	r.proxy.Times(2, s3test.IsGet, s3test.Reset) // one of them on a connection that was idle, which the transport repeats itself
	if _, err := r.Get(ctx, "hidden-key"); err != nil {
		t.Fatal(err)
	}
	span.End()
	flush()
	above := c.Spans("archive")[0]
	var got []string
	for _, s := range c.Spans("request") {
		if s.Parent != above.ID {
			t.Errorf("%+v is not below %+v", s, above)
		}
		if text := fmt.Sprint(s.Attributes, s.Reason); strings.Contains(text, "hidden") || strings.Contains(text, "Signature") {
			t.Errorf("%s tells too much", text)
		}
		got = append(got, fmt.Sprint(s.Attributes["http.request.method"], " after ", s.Attributes["http.request.resend_count"], " sends ", s.Attributes["http.request.body.size"],
			", gets ", s.Attributes["http.response.body.size"], " with ", s.Attributes["http.response.status_code"], " ", s.Failed, s.Reason))
	}
	want := []string{
		"PUT after <nil> sends 7, gets 75 with 503 true", "PUT after 1 sends 7, gets 0 with 200 false",
		"GET after <nil> sends 0, gets <nil> with <nil> trueconnection", "GET after 1 sends 0, gets 7 with 200 false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
