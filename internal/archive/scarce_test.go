package archive

import (
	"context"
	"errors"
	"io/fs"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhenScarce(t *testing.T) {
	full := &fs.PathError{Op: "open", Path: "file", Err: syscall.EMFILE}
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := WhenScarce(t.Context(), func() error {
			if tries++; tries < 5 {
				return full
			}
			return nil
		})
		if err != nil || tries != 5 {
			t.Errorf("%d tries, %v", tries, err)
		}
		begun := time.Now()
		err = WhenScarce(t.Context(), func() error { return full })
		if took := time.Since(begun); !errors.Is(err, syscall.EMFILE) || took < scarcePatience {
			t.Errorf("gave up after %v with %v", took, err)
		}
		if err := WhenScarce(t.Context(), func() error { return fs.ErrNotExist }); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("another error: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := WhenScarce(ctx, func() error { return full }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with its context ended: %v", err)
		}
	})
}

// TestBrokenPackerStaysBroken has a part fail halfway: nothing of it may pass for a part.
func TestBrokenPackerStaysBroken(t *testing.T) {
	s := openSource(t, motley(t))
	l := tarLayout(Zstd)
	p := newPacker(t, s, l, one(t, s, l))
	defer release(p)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	buf := make([]byte, testPart)
	if _, _, err := p.Fill(ended, 0, buf); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if n, last, err := p.Fill(t.Context(), 0, buf); err == nil {
		t.Errorf("a part of %d bytes, last %v", n, last)
	}
}
