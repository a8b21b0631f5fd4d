package ui

import (
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"
)

// policy keeps the page to itself: it loads and asks nothing but this server, nobody frames
// it, and no text becomes markup or script.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// guard lets through what the page asks for, and nothing else: pages of other sites, also
// those whose name leads to this machine (DNS rebinding), and other users of this machine
// do not know the token.
type guard struct {
	token string
	hosts []string // with the port
	next  http.Handler
}

// newGuard serves a handler below the token, at a port.
func newGuard(token, port string, next http.Handler) guard {
	var hosts []string
	for _, name := range []string{"127.0.0.1", "::1", "localhost"} {
		hosts = append(hosts, net.JoinHostPort(name, port))
	}
	return guard{token, hosts, next}
}

// ServeHTTP implements http.Handler.
func (g guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	origin := r.Header.Get("Origin")
	token, path, below := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case !slices.Contains(g.hosts, r.Host), origin != "" && origin != "http://"+r.Host:
		http.Error(w, "this page is for this machine only: open the address that `kubectl cargoship ui` has printed", http.StatusForbidden)
	case subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) != 1:
		http.Error(w, "open the address that `kubectl cargoship ui` has printed, with all of its letters", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "this page only shows", http.StatusMethodNotAllowed)
	case !below:
		http.Redirect(w, r, "/"+g.token+"/", http.StatusMovedPermanently)
	default:
		r.URL.Path, r.URL.RawPath = "/"+path, ""
		g.next.ServeHTTP(w, r)
	}
}
