package localkinesis

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestMemoryConnection: what net/http relies on in a connection.
func TestMemoryConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemoryNet()
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := n.Accept()
			accepted <- c
		}()
		client, err := n.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		server := <-accepted
		read := func(c net.Conn) (string, error) {
			b := make([]byte, 8)
			k, err := c.Read(b)
			return string(b[:k]), err
		}
		check := func(what, got string, err error, want string, wantErr error) {
			t.Helper()
			if got != want || !errors.Is(err, wantErr) {
				t.Errorf("%s: %q, %v, want %q, %v", what, got, err, want, wantErr)
			}
		}

		started := time.Now()
		_ = server.SetReadDeadline(started.Add(time.Second))
		got, err := read(server)
		check("nothing until the deadline", got, err, "", os.ErrDeadlineExceeded)
		if d := time.Since(started); d != time.Second {
			t.Errorf("the deadline passed after %v", d)
		}
		_, err = client.Write([]byte("a"))
		check("write", "", err, "", nil)
		got, err = read(server)
		check("after the deadline", got, err, "", os.ErrDeadlineExceeded)
		_ = server.SetReadDeadline(time.Time{})
		got, err = read(server)
		check("without a deadline", got, err, "a", nil)
		_ = server.SetReadDeadline(time.Now().Add(time.Second))
		_ = server.SetReadDeadline(time.Now().Add(time.Hour)) // the first must not pass
		time.Sleep(time.Minute)
		_, _ = client.Write([]byte("b"))
		got, err = read(server)
		check("before a later deadline", got, err, "b", nil)

		_ = client.SetWriteDeadline(time.Now())
		_, err = client.Write([]byte("c"))
		check("write after the deadline", "", err, "", os.ErrDeadlineExceeded)
		_ = client.SetDeadline(time.Time{})
		_, _ = client.Write([]byte("d"))
		_ = client.Close()
		got, err = read(server)
		check("what was written before the end", got, err, "d", nil)
		got, err = read(server)
		check("the end", got, err, "", io.EOF)
		_, err = server.Write([]byte("e"))
		check("write to nobody", "", err, "", io.ErrClosedPipe)
		_, err = client.Write([]byte("e"))
		check("write after Close", "", err, "", net.ErrClosed)
		got, err = read(client)
		check("read after Close", got, err, "", net.ErrClosed)

		_ = n.Close()
		if _, err := n.Dial(context.Background()); err == nil {
			t.Error("a closed network was dialed")
		}
	})
}
