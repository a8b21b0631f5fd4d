package lab

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkOverhead compares requests sent straight to a server with the same through a
// lab that changes nothing: the difference is what the lab costs, the second hop included.
func BenchmarkOverhead(b *testing.B) {
	for _, size := range []struct {
		name  string
		bytes int
	}{{"2KiB", 2 << 10}, {"8MiB", 8 << 20}} {
		body := make([]byte, size.bytes)
		b.Run(size.name+"/direct", func(b *testing.B) {
			server := httptest.NewServer(NewDiscard())
			b.Cleanup(server.Close)
			benchmarkPut(b, server.URL, body)
		})
		b.Run(size.name+"/lab", func(b *testing.B) {
			server := httptest.NewServer(NewDiscard())
			b.Cleanup(server.Close)
			r := start(b, mustProxy(b, server.URL), Plan{})
			benchmarkPut(b, r.url, body)
		})
		b.Run(size.name+"/lab-discard", func(b *testing.B) {
			benchmarkPut(b, start(b, NewDiscard(), Plan{}).url, body)
		})
	}
}

func benchmarkPut(b *testing.B, url string, body []byte) {
	transport := &http.Transport{MaxIdleConnsPerHost: 64, WriteBufferSize: 64 << 10}
	b.Cleanup(transport.CloseIdleConnections)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		request, err := http.NewRequest(http.MethodPut, url+"/bucket/key", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			b.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
			b.Fatalf("status %s, error %v", response.Status, err)
		}
	}
}
