package s3

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"

	"golang.org/x/net/http/httpproxy"
)

// proxyError says that the proxy which the environment names is not to be had.
type proxyError struct {
	proxy string
	err   error
}

func (e proxyError) Error() string { return fmt.Sprintf("proxy %s: %v", e.proxy, e.err) }

// Unwrap returns the cause.
func (e proxyError) Unwrap() error { return e.err }

// proxies takes proxies from the environment and knows which addresses are theirs.
type proxies struct {
	choose func(*url.URL) (*url.URL, error)
	known  sync.Map
}

func newProxies() *proxies {
	return &proxies{choose: httpproxy.FromEnvironment().ProxyFunc()}
}

// of is what http.Transport.Proxy asks for.
func (p *proxies) of(r *http.Request) (*url.URL, error) {
	proxy, err := p.choose(r.URL)
	if err != nil {
		return nil, proxyError{"of the environment", err}
	}
	if proxy != nil {
		p.known.Store(proxyAddress(proxy), true)
	}
	return proxy, nil
}

// proxyAddress is where the transport dials a proxy.
func proxyAddress(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[proxy.Scheme]
	}
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// dialed marks the error of a dial to a proxy.
func (p *proxies) dialed(address string, err error) error {
	if _, ok := p.known.Load(address); ok && err != nil {
		return proxyError{address, err}
	}
	return err
}

// connected is what http.Transport.OnProxyConnectResponse asks for.
func (p *proxies) connected(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return proxyError{proxyAddress(proxy), fmt.Errorf("it answers CONNECT with %s", answer.Status)}
}
