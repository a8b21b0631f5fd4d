package loopback

import (
	"net"
	"testing"
)

func TestAReservedAddressIsThereToListenOn(t *testing.T) {
	address, release, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if c, err := net.Dial("tcp", address); err == nil {
		t.Errorf("%s answers a connection from %s", address, c.LocalAddr())
	}
	for range 2 { // A program that is started again finds it as it was.
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReservedAddressesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		address, release, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(release)
		if seen[address] {
			t.Fatalf("%s was reserved twice", address)
		}
		seen[address] = true
	}
}
