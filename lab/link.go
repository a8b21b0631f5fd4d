package lab

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"
)

const (
	bytesPerMegabit = 1e6 / 8
	// leastChunk is the least that a link lets through at once, in bytes.
	leastChunk = 16 << 10
	// chunksPerSecond sets how long a chunk takes at the rate: 10 ms.
	chunksPerSecond = 100
	// receiveBuffer of a connection, in bytes: beyond what a limited link has taken, a
	// client shall not be able to send much more.
	receiveBuffer = 256 << 10
)

// link is the bandwidth that all connections share.
type link struct {
	up, down   *rate.Limiter
	connection atomic.Int64 // bytes per second for each; 0 for no limit
}

func newLink() *link {
	return &link{up: rate.NewLimiter(rate.Inf, leastChunk), down: rate.NewLimiter(rate.Inf, leastChunk)}
}

func (l *link) set(b *Bandwidth) {
	if b == nil {
		b = &Bandwidth{}
	}
	limit(l.up, b.SharedMegabits*bytesPerMegabit)
	limit(l.down, b.SharedMegabits*bytesPerMegabit)
	l.connection.Store(int64(b.ConnectionMegabits * bytesPerMegabit))
}

// limit sets bytes per second, 0 for none.
func limit(l *rate.Limiter, bytes float64) {
	if bytes == 0 {
		l.SetLimit(rate.Inf)
		return
	}
	l.SetLimit(rate.Limit(bytes))
	l.SetBurst(max(int(bytes/chunksPerSecond), leastChunk))
}

// listener hands out connections of the link.
type listener struct {
	net.Listener
	link *link
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, link: l.link}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.up, c.down = rate.NewLimiter(rate.Inf, leastChunk), rate.NewLimiter(rate.Inf, leastChunk)
	return c, nil
}

// conn is a connection that is as slow as the link.
type conn struct {
	net.Conn
	link     *link
	up, down *rate.Limiter
	known    atomic.Int64 // the rate that up and down are set to
	shrink   sync.Once
	ctx      context.Context // ends when the connection is closed
	cancel   context.CancelFunc
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if !c.limited() {
		return c.Conn.Read(p)
	}
	c.shrink.Do(func() {
		if t, ok := c.Conn.(*net.TCPConn); ok {
			// Without it the kernel would take megabytes at once and the link look faster
			// for a moment; nothing worse.
			_ = t.SetReadBuffer(receiveBuffer)
		}
	})
	n, err := c.Conn.Read(p[:min(len(p), c.chunk(c.link.up, c.up))])
	if waited := c.wait(n, c.link.up, c.up); err == nil {
		err = waited
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if !c.limited() {
		return c.Conn.Write(p)
	}
	sent := 0
	for sent < len(p) {
		next := p[sent:min(len(p), sent+c.chunk(c.link.down, c.down))]
		if err := c.wait(len(next), c.link.down, c.down); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(next)
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// limited brings the connection's own limiters up to date.
func (c *conn) limited() bool {
	own := c.link.connection.Load()
	if c.known.Swap(own) != own {
		limit(c.up, float64(own))
		limit(c.down, float64(own))
	}
	return own > 0 || c.link.up.Limit() != rate.Inf
}

func (c *conn) chunk(shared, own *rate.Limiter) int { return min(shared.Burst(), own.Burst()) }

// wait waits until the link has carried n bytes.
func (c *conn) wait(n int, limiters ...*rate.Limiter) error {
	if n == 0 {
		return nil
	}
	for _, l := range limiters {
		if l.Limit() == rate.Inf {
			continue
		}
		if err := l.WaitN(c.ctx, n); err != nil && c.ctx.Err() != nil {
			return net.ErrClosed
		}
	}
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.cancel()
	return c.Conn.Close()
}

// reset closes the connection with a TCP reset.
func (c *conn) reset() {
	if t, ok := c.Conn.(*net.TCPConn); ok {
		// A connection that has ended already needs no reset.
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
