package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime/pprof"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
	"github.com/libvegas/vegas/record"
)

// wire is a host that only counts: sending costs it a copy of a frame.
type wire struct {
	frames  *frameReader
	reports chan int // records of each report frame
}

func (w *wire) read() {
	defer close(w.reports)
	for {
		kind, body, err := w.frames.next()
		if err != nil {
			return
		}
		if kind != kindReport {
			continue
		}
		n := 0
		groups := littleEndian.Uint32(body[4:])
		for body = body[8:]; groups > 0; groups-- {
			count := int(littleEndian.Uint32(body[4:]))
			if body[0] != statusStored {
				panic("a record was not stored")
			}
			n += count
			body = body[8+int(littleEndian.Uint16(body[2:]))+count*reportRow:]
		}
		w.reports <- n
	}
}

// TestMain lets this binary be the engine's process, too.
func TestMain(m *testing.M) {
	if os.Getenv("BRIDGE_TEST_ENGINE") == "" {
		os.Exit(m.Run())
	}
	ended := func() {}
	if name := os.Getenv("BRIDGE_TEST_PROFILE"); name != "" { // where the CPU time of a benchmark's engine goes
		f, err := os.Create(name)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			panic(err)
		}
		ended = pprof.StopCPUProfile
	}
	err := Serve(context.Background(), os.Stdin, os.Stdout, Config{})
	ended()
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// process starts an engine in a process of its own, and says hello.
func process(b *testing.B) *host {
	b.Helper()
	c := exec.CommandContext(b.Context(), os.Args[0])
	c.Env, c.Stderr = append(os.Environ(), "BRIDGE_TEST_ENGINE=1"), os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	h := newHost(b, in, out)
	// Its output is read to the end by whoever asked for the time.
	h.cpu = func() time.Duration {
		_ = in.Close()
		err := c.Wait()
		if err != nil {
			b.Error(err)
		}
		return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	h.put(kindHello, results{"protocol": []any{int64(1), int64(1)}})
	h.next()
	return h
}

// serve serves a stream of this process, over TCP.
func serve(b *testing.B) aws.Config {
	b.Helper()
	b.Setenv("AWS_ACCESS_KEY_ID", "local")
	b.Setenv("AWS_SECRET_ACCESS_KEY", "local")
	s := localkinesis.New(func(o *localkinesis.Options) { o.Streams, o.NoLimits = map[string]int{"orders": 4}, true })
	l, err := localkinesis.Listen("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	b.Cleanup(func() { s.Close(); <-served })
	return aws.Config{
		Region: localRegion, Credentials: localCredentials, BaseEndpoint: aws.String("http://" + l.Addr().String()),
	}
}

// benchmarkSend sends b.N records of so many bytes in frames of some size, as fast as
// they are reported.
func benchmarkSend(b *testing.B, cfg aws.Config, h *host, size, bytes int) {
	h.open(*cfg.BaseEndpoint, map[string]any{"deadline": 0})
	w := &wire{frames: h.frames, reports: make(chan int, 1000)}
	go w.read()
	rs := make([]record.Record, size)
	for i := range rs {
		rs[i] = record.Record{PartitionKey: fmt.Sprint("key-", i%100), Data: make([]byte, bytes)}
	}
	frame := appendSend(nil, 0, 0, rs)
	b.ReportAllocs()
	b.ResetTimer()
	window := 10_000_000 / bytes
	open, sent := 0, 0
	for sent < b.N || open > 0 {
		if sent < b.N && open < window {
			littleEndian.PutUint64(frame[frameHead+4:], uint64(sent))
			h.write(frame)
			sent, open = sent+size, open+size
			select {
			case n := <-w.reports:
				open -= n
			default:
			}
			continue
		}
		open -= <-w.reports
	}
	b.StopTimer()
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "records/s")
	if h.cpu != nil {
		b.ReportMetric(float64(h.cpu().Nanoseconds())/float64(sent), "engine-cpu-ns/record")
	}
}

// BenchmarkSend is a session over pipes in memory.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("frame=", size), func(b *testing.B) { benchmarkSend(b, serve(b), start(b, Config{}), size, 100) })
	}
}

// BenchmarkProcess is one over the pipes of a process.
func BenchmarkProcess(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("frame=", size), func(b *testing.B) { benchmarkSend(b, serve(b), process(b), size, 100) })
	}
	b.Run("frame=100/1KiB", func(b *testing.B) { benchmarkSend(b, serve(b), process(b), 100, 1<<10) })
}

// BenchmarkLatency sends one record after the other without lingering: by the
// library, and by an engine's process.
func BenchmarkLatency(b *testing.B) {
	measure := func(b *testing.B, send func(n int)) {
		var took []time.Duration
		send(0)
		for n := 1; b.Loop(); n++ {
			began := time.Now()
			send(n)
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
	}
	b.Run("library", func(b *testing.B) {
		cfg := serve(b)
		p, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) {
			o.AWS, o.Linger, o.Logger = cfg, 0, slog.New(slog.DiscardHandler)
		})
		if err != nil {
			b.Fatal(err)
		}
		measure(b, func(int) {
			if err := p.Send(b.Context(), "key", make([]byte, 100)); err != nil {
				b.Fatal(err)
			}
		})
		if err := p.Close(b.Context()); err != nil {
			b.Error(err)
		}
	})
	b.Run("process", func(b *testing.B) {
		cfg := serve(b)
		h := process(b)
		h.open(*cfg.BaseEndpoint, map[string]any{"linger": 0})
		measure(b, func(n int) {
			h.send(0, uint64(n), record.Record{PartitionKey: "key", Data: make([]byte, 100)})
			for len(h.results) <= n {
				h.step()
			}
		})
		h.cpu()
	})
}
