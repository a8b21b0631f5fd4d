package worker

import (
	"testing"
	"time"
)

func TestEagerWhenAPrefixRunsDry(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 2, 0)
		b.renew()
		b.renew()
		<-b.Eager() // it may send
		select {
		case <-b.Eager():
		case <-time.After(2 * time.Second):
			t.Error("no signal though nothing is left to send")
		}
	})
}

func TestEagerWhenItMaySend(t *testing.T) {
	eager := func(b *bench) bool {
		select {
		case <-b.Eager():
			return true
		default:
			return false
		}
	}
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.on("a", 0)
		b.renew()
		if eager(b) {
			t.Error("a signal before anything may be sent")
		}
		b.on("a", 2, 0)
		b.renew()
		if !eager(b) {
			t.Error("no signal though sending begins")
		}
		b.on("a", 3, 0)
		b.renew()
		if eager(b) {
			t.Error("a signal for a window that only grew")
		}
	})
}
