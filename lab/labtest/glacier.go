// Package labtest puts what the lab makes before servers of tests.
package labtest

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"cargoship.dev/operator/lab"
)

// NewGlacier puts an archive storage class before a server at a URL: objects that a function
// chooses can't be read until they are thawed. It returns the URL to use, and ends with the test.
func NewGlacier(tb testing.TB, backend string, g *lab.Glacier) string {
	tb.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		tb.Fatal(err)
	}
	transport := lab.NewTransport()
	g.Backend = lab.NewProxy(target, transport)
	server := httptest.NewServer(g)
	tb.Cleanup(func() { server.CloseClientConnections(); server.Close(); transport.CloseIdleConnections() })
	return server.URL
}
