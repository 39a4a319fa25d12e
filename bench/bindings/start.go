package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"time"
)

// startsInRound is how many engines a round starts.
const startsInRound = 10

// startMillis is the median of what engines took from before they were started to the
// end of their hello.
func startMillis(ctx context.Context, engine string) (float64, error) {
	var took []float64
	for range startsInRound {
		d, err := startOne(ctx, engine)
		if err != nil {
			return 0, fmt.Errorf("start an engine: %w", err)
		}
		took = append(took, float64(d)/float64(time.Millisecond))
	}
	return quantile(took, 0.5), nil
}

// startOne starts an engine, exchanges hello with it, and ends it.
func startOne(ctx context.Context, engine string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	began := time.Now()
	cmd := exec.CommandContext(ctx, engine)
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if _, err := in.Write(hello()); err != nil {
		return 0, err
	}
	var head [5]byte
	if _, err := io.ReadFull(out, head[:]); err != nil {
		return 0, err
	}
	body := make([]byte, binary.LittleEndian.Uint32(head[:])-1)
	if _, err := io.ReadFull(out, body); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if head[4] != helloFrame || !bytes.Contains(body, []byte("capabilities")) {
		return 0, fmt.Errorf("frame %d, %.100q is no hello", head[4], body)
	}
	if err := in.Close(); err != nil {
		return 0, err
	}
	return took, cmd.Wait()
}

// helloFrame is the kind of hello, see bindings/PROTOCOL.md.
const helloFrame = 1

// hello is a host's, written by hand: {grace: 1000000, language: "go", pid: 1,
// protocol: [1, 1], version: "0.1.0"}.
func hello() []byte {
	const number, text, list, object = 3, 5, 7, 8
	b := []byte{helloFrame, object}
	count := func(n int) { b = binary.LittleEndian.AppendUint32(b, uint32(n)) }
	name := func(s string) { count(len(s)); b = append(b, s...) }
	whole := func(n int) { b = binary.LittleEndian.AppendUint64(append(b, number), uint64(n)) }
	words := func(s string) { b = append(b, text); name(s) }
	count(5)
	name("grace")
	whole(1_000_000)
	name("language")
	words("go")
	name("pid")
	whole(1)
	name("protocol")
	b = append(b, list)
	count(2)
	whole(1)
	whole(1)
	name("version")
	words("0.1.0")
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// quantile q of some figures.
func quantile(some []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(some))
	if len(s) == 0 {
		return 0
	}
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
