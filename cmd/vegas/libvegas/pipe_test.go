package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// TestPipe sends more than it holds, in pieces of all sizes.
func TestPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		sent := make([]byte, 3*pipeBytes+17)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range sent {
			sent[i] = byte(random.Uint32())
		}
		go func() {
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 1+random.IntN(pipeBytes*2))
				if _, err := p.Write(rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
			_ = p.Close()
		}()
		got, err := io.ReadAll(p)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes arrived of %d, error %v", len(got), len(sent), err)
		}
		if _, err := p.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("writing behind the end: %v", err)
		}
	})
}

func TestPipeReadsWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		b := make([]byte, 10)
		began := time.Now()
		if n, err := p.readWithin(b, 20*time.Millisecond); n != 0 || err != nil || time.Since(began) != 20*time.Millisecond {
			t.Errorf("%d bytes, error %v after %v of an empty pipe", n, err, time.Since(began))
		}
		if n, err := p.readWithin(b, 0); n != 0 || err != nil {
			t.Errorf("%d bytes, error %v of an empty pipe", n, err)
		}
		if _, err := p.Write([]byte("ab")); err != nil {
			t.Error(err)
		}
		if n, err := p.readWithin(b, time.Hour); n != 2 || err != nil {
			t.Errorf("%d bytes, error %v, want 2", n, err)
		}
	})
}

// TestPipeClosed: whoever waits is told.
func TestPipeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		written := make(chan error)
		go func() {
			_, err := p.Write(make([]byte, pipeBytes+1))
			written <- err
		}()
		synctest.Wait()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := <-written; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the writer got %v", err)
		}
		if got, err := io.ReadAll(p); len(got) != pipeBytes || err != nil {
			t.Errorf("%d bytes can still be read, error %v", len(got), err)
		}
	})
}
