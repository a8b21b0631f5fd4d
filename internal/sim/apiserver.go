package sim

import "time"

// What a client of the API server does about 429, as client-go.
const (
	retryAfter  = time.Second
	mostRetries = 10
)

// apiServer carries so many requests per second, in turn, each of which takes a time besides. When too many wait it
// answers 429.
type apiServer struct {
	fleet           *fleet
	spec            *APIServer
	free            time.Duration // when it has done all that wait
	calls, rejected int
}

// apiCall is one request to it.
type apiCall struct {
	server  *apiServer
	reached func() bool // the server can be reached
	served  func()      // happens when it is done, also if the client has given up meanwhile
	ended   func(ok bool)
	until   time.Duration
	retries int
	over    bool
	limit   event
}

// call makes a request that the client gives up after a time.
func (s *apiServer) call(timeout time.Duration, reached func() bool, served func(), ended func(ok bool)) {
	c := &apiCall{server: s, reached: reached, served: served, ended: ended, until: s.fleet.now + timeout}
	c.limit.act = func() { c.end(false) }
	s.fleet.set(&c.limit, c.until)
	c.try()
}

// try has the request wait for its turn, unless the server cannot be reached: then the client waits in vain.
func (c *apiCall) try() {
	s, f := c.server, c.server.fleet
	if c.over || !c.reached() {
		return
	}
	s.calls++
	if waiting := (s.free - f.now).Seconds() * float64(s.spec.Requests); waiting >= float64(s.spec.Queue) {
		s.rejected++
		if c.retries++; c.retries > mostRetries {
			f.after(time.Duration(s.spec.Latency), func() { c.end(false) })
			return
		}
		f.after(time.Duration(s.spec.Latency)+retryAfter, c.try)
		return
	}
	s.free = max(s.free, f.now) + time.Duration(float64(time.Second)/float64(s.spec.Requests))
	f.after(s.free-f.now, func() {
		if !c.reached() {
			return
		}
		c.served()
		f.after(time.Duration(s.spec.Latency), func() { c.end(true) })
	})
}

func (c *apiCall) end(ok bool) {
	if !c.over {
		c.over = true
		c.server.fleet.cancel(&c.limit)
		c.ended(ok)
	}
}
