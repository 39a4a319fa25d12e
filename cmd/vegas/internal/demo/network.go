package demo

import (
	"context"
	"io"
	"net"
	"sync"
)

// network is the way from the producer to the server. While it is cut, it hangs up
// on whoever connects.
type network struct {
	listener net.Listener
	to       string
	ended    sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]struct{}
}

func openNetwork(to string) (*network, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &network{listener: l, to: to, conns: map[net.Conn]struct{}{}}
	n.ended.Go(n.accept)
	return n, nil
}

func (n *network) endpoint() string { return "http://" + n.listener.Addr().String() }

func (n *network) accept() {
	for {
		conn, err := n.listener.Accept()
		if err != nil {
			return // closed
		}
		n.ended.Go(func() { n.carry(conn) })
	}
}

// carry passes on what is said on a connection, in both directions, until one side
// ends or the network is cut.
func (n *network) carry(near net.Conn) {
	defer n.drop(near)
	if !n.know(near) {
		return
	}
	far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", n.to)
	if err != nil {
		return
	}
	defer n.drop(far)
	if !n.know(far) {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(far, near)
		n.drop(far)
	}()
	_, _ = io.Copy(near, far)
	n.drop(near)
	<-done
}

// know tells false, and hangs up, while the network is cut.
func (n *network) know(c net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		_ = c.Close()
		return false
	}
	n.conns[c] = struct{}{}
	return true
}

func (n *network) drop(c net.Conn) {
	_ = c.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// setCut cuts the network, with all that is under way, or mends it.
func (n *network) setCut(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
	if cut {
		for c := range n.conns {
			_ = c.Close()
		}
	}
}

func (n *network) close() {
	_ = n.listener.Close()
	n.setCut(true)
	n.ended.Wait()
}
