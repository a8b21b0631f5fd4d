package cli

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// A server that closes a connection raises SIGPIPE at whoever writes to it, which is none of
// the command's business but its own.
func TestAClosedConnectionEndsNoCommand(t *testing.T) {
	root := NewRoot("test", "writes to a connection", &cobra.Command{Use: "write", RunE: func(cmd *cobra.Command, _ []string) error {
		if err := writeUntilClosed(t); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("writing to a closed connection: %v", err)
		}
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-time.After(300 * time.Millisecond):
			return nil
		}
	}})
	root.SetArgs([]string{"write"})
	if code := Main(root); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// writeUntilClosed writes to a connection that the other side has reset.
func writeUntilClosed(t *testing.T) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // It is a test's.
	connection, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close() //nolint:errcheck // It is a test's.
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := accepted.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err = connection.Write([]byte("x")); errors.Is(err, syscall.EPIPE) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}
