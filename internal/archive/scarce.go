package archive

import (
	"context"
	"errors"
	"syscall"
	"time"
)

const (
	// scarcePatience bounds how long the source waits for descriptors that others have.
	scarcePatience = 30 * time.Second
	scarcePause    = 20 * time.Millisecond
)

// WhenScarce opens something, retrying while no descriptors are left: that
// says nothing about the file.
func WhenScarce(ctx context.Context, open func() error) error {
	deadline := time.Now().Add(scarcePatience)
	for {
		err := open()
		if !scarce(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(scarcePause):
		}
	}
}

// scarce says that no descriptors are left.
func scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
