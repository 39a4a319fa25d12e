//go:build unix

package vegas_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
)

// The benchmarks measure the client alone: the server is this test binary again,
// in another process, reached over the loopback interface.
const benchServer = "VEGAS_BENCH_SERVER"

func TestMain(m *testing.M) {
	if shards := os.Getenv(benchServer); shards != "" {
		serveBenchmark(shards)
		return
	}
	if args := os.Getenv(durableChild); args != "" {
		if err := beDurableChild(strings.Split(args, "\n")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(mortalWorker); dir != "" {
		if err := diesOfPoison(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveBenchmark(shards string) {
	var n int
	fmt.Sscan(shards, &n)
	srv := localkinesis.New(func(o *localkinesis.Options) {
		o.Streams, o.NoLimits, o.MemoryBytes = map[string]int{"orders": n}, true, 2<<30
	})
	l, err := localkinesis.Listen("127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Addr())
	go func() { // memory stays bounded: retention takes what is there
		for range time.Tick(50 * time.Millisecond) {
			if srv.BytesStored() > 100<<20 {
				srv.Advance(25 * time.Hour)
			}
		}
	}()
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n') // until the parent ends
		os.Exit(0)
	}()
	srv.Serve(l)
}

// remote starts the server and gives a configuration that reaches it.
func remote(b testing.TB, shards int) aws.Config {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", benchServer, shards))
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String("http://" + strings.TrimSpace(address)),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
		}),
	}
}

// cost measures what this process spends, per record.
type cost struct {
	cpu   time.Duration
	bytes uint64
	at    time.Time
}

func spent() cost {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return cost{time.Duration(u.Utime.Nano() + u.Stime.Nano()), m.TotalAlloc, time.Now()}
}

func (c cost) report(b *testing.B, records int) {
	d := spent()
	b.ReportMetric(float64(d.cpu-c.cpu)/float64(records), "cpu-ns/record")
	b.ReportMetric(float64(d.bytes-c.bytes)/float64(records), "alloc-B/record")
	b.ReportMetric(float64(records)/d.at.Sub(c.at).Seconds(), "records/s")
	b.ReportMetric(0, "ns/op")
}

func benchProducer(b *testing.B, cfg aws.Config, opts ...func(*vegas.ProducerOptions)) *vegas.Producer {
	p, err := vegas.NewProducer("orders", append([]func(*vegas.ProducerOptions){quietly, func(o *vegas.ProducerOptions) { o.AWS = cfg }}, opts...)...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { p.Close(context.Background()) })
	if err := p.Send(context.Background(), "warm", nil); err != nil {
		b.Fatal(err)
	}
	return p
}

func benchRecords(n, size int) []*vegas.Record {
	rs := make([]*vegas.Record, n)
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i)
	}
	for i := range rs {
		rs[i] = &vegas.Record{PartitionKey: fmt.Sprintf("customer-%06d", i*7919%100000), Data: data}
	}
	return rs
}

// Aggregated records from one goroutine with callbacks.
func BenchmarkProduceAsync(b *testing.B) {
	for _, size := range []int{100, 1000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			p := benchProducer(b, remote(b, 8))
			rs := benchRecords(10000, size)
			var failed error
			done := func(_ vegas.Receipt, err error) {
				if err != nil {
					failed = err
				}
			}
			c, n := spent(), 0
			for b.Loop() {
				for range 1000 {
					if err := p.SendAsync(context.Background(), rs[n%len(rs)], done); err != nil {
						b.Fatal(err)
					}
					n++
				}
			}
			p.Flush(context.Background())
			c.report(b, n)
			if failed != nil {
				b.Fatal(failed)
			}
		})
	}
}

// Batches of 10,000 from one goroutine.
func BenchmarkProduceAll(b *testing.B) {
	p := benchProducer(b, remote(b, 8))
	rs := benchRecords(10000, 100)
	c, n := spent(), 0
	for b.Loop() {
		if _, err := p.SendAll(context.Background(), rs); err != nil {
			b.Fatal(err)
		}
		n += len(rs)
	}
	c.report(b, n)
}

// A thousand goroutines that each wait for every record.
func BenchmarkProduceSend(b *testing.B) {
	p := benchProducer(b, remote(b, 8), func(o *vegas.ProducerOptions) { o.Linger = 0 })
	rs := benchRecords(1000, 100)
	c, n := spent(), 0
	for b.Loop() {
		var wg sync.WaitGroup
		for _, r := range rs {
			wg.Go(func() {
				for range 10 {
					if err := p.Send(context.Background(), r.PartitionKey, r.Data); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		n += 10 * len(rs)
	}
	c.report(b, n)
}

// Records by themselves, without aggregation.
func BenchmarkProduceRaw(b *testing.B) {
	p := benchProducer(b, remote(b, 8), func(o *vegas.ProducerOptions) { o.Aggregate = false })
	rs := benchRecords(10000, 100)
	c, n := spent(), 0
	for b.Loop() {
		if _, err := p.SendAll(context.Background(), rs); err != nil {
			b.Fatal(err)
		}
		n += len(rs)
	}
	c.report(b, n)
}
