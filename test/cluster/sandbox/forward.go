package sandbox

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// forward passes connections that arrive at a listener on to an address, until ctx
// ends. The listener may belong to another network namespace than the address.
func forward(ctx context.Context, listener net.Listener, address string) {
	var open sync.WaitGroup
	defer open.Wait()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	for {
		from, err := listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // one connection that failed before it began
		}
		open.Go(func() { passOn(ctx, from, address) })
	}
}

func passOn(ctx context.Context, from net.Conn, address string) {
	var dialer net.Dialer
	to, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		_ = from.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { _, _ = from.Close(), to.Close() })
	defer stop()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0])
			// The other way goes on until its sender, too, has nothing more to say.
			_ = way[1].(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
	_, _ = from.Close(), to.Close()
}
