package loopback

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Reserve returns an address of the loopback interface that the system gives to no one who
// does not ask for it, neither to listen on nor to connect from, until release is called.
// A program may listen on it meanwhile, as often as it likes.
func Reserve() (address string, release func(), err error) {
	// The socket never listens. Another may be bound to its port where both have SO_REUSEADDR and
	// neither listens yet, as that of a Go program may; a port that is not asked for by number
	// is one to which none is bound.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("reserve a port: %w", err)
	}
	release = func() { _ = unix.Close(fd) }
	defer func() {
		if err != nil {
			release()
			err = fmt.Errorf("reserve a port: %w", err)
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return "", nil, err
	}
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: local.As4()}); err != nil {
		return "", nil, err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return "", nil, err
	}
	return netip.AddrPortFrom(local, uint16(bound.(*unix.SockaddrInet4).Port)).String(), release, nil
}
