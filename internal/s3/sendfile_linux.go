package s3

import (
	"context"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sendFile has the kernel send what is left of a body straight from its file, and returns how
// many bytes that were. Where the kernel cannot, it sends less and no error: the rest
// is then read and written, which tells what was wrong.
func (c stallConn) sendFile(r *bodyReader) (sent int64, err error) {
	lender, lends := r.Source.(Lender)
	conn, raw := c.Conn.(syscall.Conn)
	if !lends || !raw || r.content != nil {
		return 0, nil
	}
	to, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	file, giveBack := lender.Lend()
	if file == nil {
		return 0, nil
	}
	defer giveBack()
	from, err := file.SyscallConn()
	if err != nil {
		return 0, nil //nolint:nilerr // Reading it tells.
	}
	for r.done < r.Length {
		passes := r.passes(min(r.Length-r.done, writeSize))
		if passes == 0 {
			return sent, context.Canceled
		}
		for passes > 0 {
			n, err := c.sendPiece(to, from, r.Offset+r.done, passes)
			r.took(n)
			sent += int64(n)
			passes -= int64(n)
			if err != nil || n == 0 {
				return sent, err
			}
		}
	}
	return sent, nil
}

// sendPiece sends some of a file: at least a byte, or none where the kernel cannot.
func (c stallConn) sendPiece(to, from syscall.RawConn, offset, length int64) (n int, err error) {
	if err := c.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	var failed error
	err = to.Write(func(socket uintptr) bool {
		err := from.Control(func(file uintptr) {
			at := offset
			n, failed = unix.Sendfile(int(socket), int(file), &at, int(length))
		})
		return err != nil || failed != unix.EAGAIN && failed != unix.EINTR
	})
	c.awaitAnswer(err)
	return max(n, 0), err
}
