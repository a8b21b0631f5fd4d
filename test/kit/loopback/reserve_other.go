//go:build !linux

package loopback

import (
	"fmt"
	"net"
)

// Reserve returns an address of the loopback interface that nobody listens on.
func Reserve() (address string, release func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("reserve a port: %w", err)
	}
	return l.Addr().String(), func() {}, l.Close()
}
