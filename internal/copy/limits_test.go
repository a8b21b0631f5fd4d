package copy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"cargoship.dev/operator/internal/archive"
	"cargoship.dev/operator/internal/policy"
	"cargoship.dev/operator/internal/s3"
	"cargoship.dev/operator/lab"
)

// arrivals counts what arrives at a server, in tenths of a second.
type arrivals struct {
	http.Handler
	mu    sync.Mutex
	begun time.Time
	bytes map[int]int
}

// ServeHTTP implements http.Handler.
func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = arriving{r.Body, a}
	a.Handler.ServeHTTP(w, r)
}

func (a *arrivals) add(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun.IsZero() {
		a.begun = time.Now()
	}
	a.bytes[int(time.Since(a.begun)/(100*time.Millisecond))] += n
}

type arriving struct {
	io.ReadCloser
	to *arrivals
}

// Read implements io.Reader.
func (b arriving) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.to.add(n)
	return n, err
}

// Over HTTP no more arrives in any two seconds than 2 % above the limit, and what the sockets of a
// busy machine hold, whether files are large or small; and no more in all. How much less does is a
// matter of the machine. What is sent by the clock is for the tests of the pace.
func TestBandwidthLimitOverHTTP(t *testing.T) {
	const limit, seconds, sockets = 8e6, 2, 1 << 20
	server := &arrivals{Handler: lab.NewDiscard(), bytes: map[int]int{}}
	listening := httptest.NewServer(server)
	defer listening.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	dir := t.TempDir()
	for name, size := range map[string]int{"large": 20 << 20, "small-1": 300_000, "small-2": 3_000_000, "small-3": 70_000} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rate := float64(limit)
	begun := time.Now()
	summary, err := Run(t.Context(), Options{
		Source: dir, Name: "limited", Layout: archive.Layout{Pattern: archive.Mirror},
		Destination: s3.Options{Bucket: "bucket", Region: "us-east-1", Endpoint: listening.URL, PathStyle: true, StyleGiven: true, Ambient: true},
		Limits:      []policy.Limit{{BytesPerSecond: &rate}},
	})
	if err != nil || summary.Failed > 0 {
		t.Fatalf("%d failed: %v", summary.Failed, err)
	}
	took := time.Since(begun)
	most := 0
	for first := range int(took/(100*time.Millisecond)) + 1 {
		sum := 0
		for i := range seconds * 10 {
			sum += server.bytes[first+i]
		}
		most = max(most, sum)
	}
	t.Logf("%d bytes in %v, at most %.2f MB/s in two seconds", summary.Bytes, took, float64(most)/seconds/1e6)
	if float64(most) > 1.02*limit*seconds+sockets {
		t.Errorf("%.2f MB/s arrived in two seconds, the limit is %.2f", float64(most)/seconds/1e6, limit/1e6)
	}
	if least := time.Duration(float64(summary.Bytes) / limit / 1.02 * float64(time.Second)); took < least {
		t.Errorf("it took %v, at the limit it takes %v", took, least)
	}
}
