package lab

import (
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a Lab stands in front of, and with which conditions.
type Options struct {
	// Backend answers what is passed on: NewProxy or NewDiscard.
	Backend http.Handler
	Plan    Plan
	// HostSuffix is the name below which host names begin with a bucket. Empty: the
	// bucket is in the path.
	HostSuffix string
}

// Lab is the path to an S3 server. Serve runs it.
type Lab struct {
	backend http.Handler
	plan    Plan
	suffix  string
	ledger  *ledger
	link    *link
	dice    *dice
	// changing is held by who changes the conditions.
	changing sync.Mutex
	current  atomic.Pointer[setting]
}

// setting is the conditions in force.
type setting struct {
	Conditions
	// replaced is closed when others are.
	replaced chan struct{}
}

// New returns a Lab under the plan's first conditions.
func New(o Options) *Lab {
	l := &Lab{
		backend: o.Backend, plan: o.Plan, suffix: o.HostSuffix,
		ledger: newLedger(), link: newLink(), dice: newDice(o.Plan.Seed),
	}
	l.Set(o.Plan.Conditions)
	return l
}

// Set replaces all conditions for requests to come. Blackouts end at once.
func (l *Lab) Set(c Conditions) {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.set(c)
}

// Change replaces those conditions that are named; the others stay.
func (l *Lab) Change(by Conditions) {
	l.changing.Lock()
	defer l.changing.Unlock()
	l.set(l.conditions().changed(by))
}

func (l *Lab) set(c Conditions) {
	l.ledger.police(c.Partitions)
	l.link.set(c.Bandwidth)
	l.dice.arm(c.Faults)
	old := l.current.Swap(&setting{Conditions: c, replaced: make(chan struct{})})
	if old != nil {
		l.ledger.change()
		close(old.replaced)
	}
}

// Stats returns what has been seen so far.
func (l *Lab) Stats() Stats { return l.ledger.stats() }

// Reset begins the statistics anew, and returns what has been seen until then. Uploads that are
// open stay counted.
func (l *Lab) Reset() Stats { return l.ledger.reset() }

func (l *Lab) conditions() Conditions { return l.current.Load().Conditions }

// ServeHTTP takes a request through the path.
func (l *Lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := l.current.Load()
	l.blackout(r, now)
	t := parseTarget(r, l.suffix)
	name, admitted := l.ledger.begin(t)
	x := &exchange{target: t}
	defer func() { l.ledger.end(name, *x) }()
	if !admitted {
		x.status, x.throttled = http.StatusServiceUnavailable, true
		slowDown().write(w, r)
		return
	}
	if f, ok := now.rejected(r, t); ok {
		x.status = f.status
		now.tellTime(w.Header())
		f.write(w, r)
		return
	}
	struck, random := l.dice.roll(t)
	if struck != nil {
		l.ledger.strike(struck.Kind)
		if l.instead(w, r, struck, name, x) {
			return
		}
	}
	l.pass(w, r, struck, now.ServiceTime.draw(random), x)
}

// blackout keeps or resets the connection of a request while nothing gets through.
func (l *Lab) blackout(r *http.Request, now *setting) {
	switch now.Blackout {
	case Reset:
		reset(r)
	case Silent:
		select {
		case <-now.replaced:
		case <-r.Context().Done():
		}
		reset(r)
	}
}

// instead does what faults do in place of the server; false if there is nothing to do.
func (l *Lab) instead(w http.ResponseWriter, r *http.Request, struck *strike, name string, x *exchange) bool {
	reject := func(e s3Error) bool {
		x.status = e.status
		e.write(w, r)
		return true
	}
	switch struck.Kind {
	case SlowDown:
		l.ledger.throttle(name)
		x.throttled = true
		return reject(slowDown())
	case InternalError:
		return reject(internalError())
	case ExpiredToken:
		return reject(expiredToken())
	case NoAnswer:
		x.in, _ = io.Copy(io.Discard, r.Body) // What cannot be read any more is not missed.
		l.pause(r, struck.wait())
		reset(r)
	case ResetRequest:
		if r.ContentLength <= 0 {
			reset(r)
		}
	}
	return false
}

// pass has the backend answer.
func (l *Lab) pass(w http.ResponseWriter, r *http.Request, struck *strike, delay time.Duration, x *exchange) {
	u := &upload{ReadCloser: r.Body, struck: struck, length: r.ContentLength}
	if r.ContentLength == 0 {
		u.state.ended = time.Now()
	} else {
		r.Body = u
	}
	a := &answer{ResponseWriter: w, lab: l, request: r, upload: u, struck: struck, delay: delay, x: x}
	defer func() {
		x.in, x.created = u.sent().n, a.uploadID()
	}()
	l.backend.ServeHTTP(a, r)
	if u.sent().broken {
		reset(r)
	}
	if !a.begun {
		a.WriteHeader(http.StatusOK)
	}
}

// pause waits, but not longer than the client does.
func (l *Lab) pause(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// draw returns the service time of one request.
func (s *ServiceTime) draw(random *rand.Rand) time.Duration {
	if s == nil {
		return 0
	}
	if s.P99 == 0 {
		return s.Median
	}
	// The 99th percentile of the standard normal distribution.
	const z99 = 2.3263478740408408
	sigma := math.Log(float64(s.P99)/float64(s.Median)) / z99
	return time.Duration(float64(s.Median) * math.Exp(sigma*random.NormFloat64()))
}

// NewProxy returns a backend that is another server. It keeps the Host header and the
// query as they came, since signatures cover them. The caller closes idle connections of
// the transport.
func NewProxy(server *url.URL, transport *http.Transport) http.Handler {
	return &httputil.ReverseProxy{
		Transport:  transport,
		BufferPool: newBuffers(),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			r.Out.Host = r.In.Host
			r.Out.URL.RawQuery = r.In.URL.RawQuery
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, _ error) {
			// The server cannot be reached, or ended the connection, or the client has
			// gone: what a client would meet without the lab.
			reset(r)
		},
	}
}

// NewTransport returns a transport to a server, fit for as many connections as clients open.
func NewTransport() *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: 1024, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		ExpectContinueTimeout: time.Second, WriteBufferSize: 64 << 10, ReadBufferSize: 16 << 10,
	}
}
