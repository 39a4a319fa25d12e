//go:build unix

package localkinesis_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libvegas/vegas/localkinesis"
)

// These benchmarks measure the server alone: it is this test binary again, in a
// process of its own with one thread for Go code, reached over the loopback
// interface by a client that only writes and reads bytes. MB/cpu-s is payload by
// CPU time of that process, the kernel's on its behalf included; MB/s is by the
// clock, where client and server share the machine.
const (
	benchmarkServer = "LOCALKINESIS_BENCHMARK_SERVER"
	// serverProfile names a file for the CPU profile of that process; -cpuprofile
	// is the client's.
	serverProfile = "LOCALKINESIS_BENCHMARK_PROFILE"
)

func TestMain(m *testing.M) {
	if shards := os.Getenv(benchmarkServer); shards != "" {
		if err := serveBenchmark(shards); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveBenchmark serves a stream of that many shards, plain and over TLS, and does
// what it reads: "cpu" prints the CPU time in nanoseconds, a duration moves the
// clock on, the end ends it.
func serveBenchmark(shards string) error {
	n, err := strconv.Atoi(shards)
	if err != nil {
		return err
	}
	srv := localkinesis.New(unbounded, func(o *localkinesis.Options) { o.StateDelay, o.Streams = 0, map[string]int{"orders": n} })
	defer srv.Close()
	for _, serve := range []func(net.Listener) error{srv.Serve, srv.ServeTLS} {
		l, err := localkinesis.Listen("127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(l.Addr())
		go serve(l)
	}
	if name := os.Getenv(serverProfile); name != "" {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		if commands.Text() == "cpu" {
			var u syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
				return err
			}
			fmt.Println(u.Utime.Nano() + u.Stime.Nano())
			continue
		}
		d, err := time.ParseDuration(commands.Text())
		if err != nil {
			return err
		}
		srv.Advance(d)
		_, err = srv.Stream("orders") // which trims
		fmt.Println(err)
	}
	return commands.Err()
}

// process is a server in another process.
type process struct {
	b              *testing.B
	in             io.Writer
	out            *bufio.Reader
	plain, overTLS string
	cpu, was       int64
}

func startProcess(b *testing.B, shards int) *process {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(exe) // ends with its standard input
	cmd.Env = append(os.Environ(), benchmarkServer+"="+strconv.Itoa(shards), "GOMAXPROCS=1")
	cmd.Stderr = os.Stderr
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	p := &process{b: b, in: in, out: bufio.NewReader(out)}
	p.plain, p.overTLS = p.line(), p.line()
	return p
}

func (p *process) line() string {
	s, err := p.out.ReadString('\n')
	if err != nil {
		p.b.Fatalf("the server's process: %v", err)
	}
	return strings.TrimSpace(s)
}

func (p *process) tell(command string) string {
	fmt.Fprintln(p.in, command)
	return p.line()
}

func (p *process) spent() int64 {
	n, err := strconv.ParseInt(p.tell("cpu"), 10, 64)
	if err != nil {
		p.b.Fatal(err)
	}
	return n
}

// start and stop enclose what is measured, as the benchmark's timer does.
func (p *process) start() { p.b.StartTimer(); p.was = p.spent() }
func (p *process) stop()  { p.cpu += p.spent() - p.was; p.b.StopTimer() }

// report tells of payload bytes that were moved in all.
func (p *process) report(payload int64) {
	p.b.ReportMetric(float64(payload)/1e6/(float64(p.cpu)/1e9), "MB/cpu-s")
	p.b.ReportMetric(float64(payload)/1e6/p.b.Elapsed().Seconds(), "MB/s")
	p.b.ReportMetric(0, "ns/op")
}

// wire is one connection of HTTP/1.1 that sends the same bytes over and over.
type wire struct {
	b *testing.B
	c net.Conn
	r *bufio.Reader
}

func (p *process) dial(secure bool) *wire {
	c, err := net.Dial("tcp", p.plain)
	if secure {
		c, err = tls.Dial("tcp", p.overTLS, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // only what encryption costs is measured
	}
	if err != nil {
		p.b.Fatal(err)
	}
	p.b.Cleanup(func() { c.Close() })
	return &wire{p.b, c, bufio.NewReaderSize(c, 1<<20)}
}

func request(op, content string, body []byte) []byte {
	return fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: kinesis\r\nContent-Type: %s\r\nX-Amz-Target: Kinesis_20131202.%s\r\n"+
		"Authorization: AWS4-HMAC-SHA256 Credential=x, SignedHeaders=x, Signature=x\r\nContent-Length: %d\r\n\r\n%s", content, op, len(body), body)
}

// do sends a request and reads the answer away.
func (w *wire) do(request []byte) {
	if _, err := io.CopyN(io.Discard, w.r, w.begin(request)); err != nil {
		w.b.Fatal(err)
	}
}

// begin sends a request and reads the headers of the answer; it gives its length.
func (w *wire) begin(request []byte) int64 {
	if _, err := w.c.Write(request); err != nil {
		w.b.Fatal(err)
	}
	length := int64(0)
	for first := true; ; first = false {
		line, err := w.r.ReadSlice('\n')
		if err != nil || first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			w.b.Fatalf("the answer begins with %q: %v", line, err)
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.ParseInt(string(bytes.TrimSpace(v)), 10, 64)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			return length
		}
	}
}

// iterator is the body of a GetRecords request that reads from the beginning.
func (w *wire) iterator(content string) []byte {
	b := make([]byte, w.begin(request("GetShardIterator", jsonContent, []byte(
		`{"StreamName":"orders","ShardId":"shardId-000000000000","ShardIteratorType":"TRIM_HORIZON"}`))))
	if _, err := io.ReadFull(w.r, b); err != nil || content == jsonContent {
		return b // the answer's one member is the request's
	}
	value := strings.Split(string(b), `"`)[3]
	return append(append([]byte("\xa1\x6dShardIterator\x79"), byte(len(value)>>8), byte(len(value))), value...)
}

const cborContent = "application/x-amz-cbor-1.1"

// manyRecordsCBOR is manyRecords in the other protocol.
func manyRecordsCBOR(n, size int) []byte {
	b := []byte("\xa2\x6aStreamName\x66orders\x67Records\x9f")
	for i := range n {
		b = append(b, "\xa2\x64Data\x59"...)
		b = append(b, byte(size>>8), byte(size))
		b = append(b, bytes.Repeat([]byte{0x5a}, size)...)
		key := fmt.Sprintf("customer-%d", i)
		b = append(append(b, "\x6cPartitionKey"...), 0x60|byte(len(key)))
		b = append(b, key...)
	}
	return append(b, 0xff)
}

// Requests of 500 records of 1 KiB, and of ten aggregates of 50 KiB.
func BenchmarkProcessPutRecords(b *testing.B) {
	for _, c := range []struct {
		name, content string
		n, size       int
		secure        bool
		body          func(n, size int) []byte
	}{
		{"JSON/500x1KiB", jsonContent, 500, 1024, false, manyRecords},
		{"JSON/10x50KiB", jsonContent, 10, 50 << 10, false, manyRecords},
		{"JSON/TLS/500x1KiB", jsonContent, 500, 1024, true, manyRecords},
		{"CBOR/500x1KiB", cborContent, 500, 1024, false, manyRecordsCBOR},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := startProcess(b, 4)
			w, message, moved := p.dial(c.secure), request("PutRecords", c.content, c.body(c.n, c.size)), int64(0)
			p.start()
			for b.Loop() {
				w.do(message)
				if moved += int64(c.n * c.size); moved%(100*int64(c.n*c.size)) == 0 { // 50 MiB: retention is not what is measured
					p.stop()
					p.tell("48h")
					p.start()
				}
			}
			p.stop()
			p.report(moved)
		})
	}
}

// Answers of 10,000 records of 1 KiB, and of 200 aggregates of 50 KiB.
func BenchmarkProcessGetRecords(b *testing.B) {
	for _, c := range []struct {
		name, content string
		n, size       int
		secure        bool
	}{
		{"JSON/10000x1KiB", jsonContent, 500, 1024, false},
		{"JSON/200x50KiB", jsonContent, 10, 50 << 10, false},
		{"JSON/TLS/10000x1KiB", jsonContent, 500, 1024, true},
		{"CBOR/10000x1KiB", cborContent, 500, 1024, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := startProcess(b, 1)
			w, moved := p.dial(c.secure), int64(0)
			for range 20 {
				w.do(request("PutRecords", jsonContent, manyRecords(c.n, c.size)))
			}
			message := request("GetRecords", c.content, w.iterator(c.content))
			p.start()
			for b.Loop() {
				w.do(message)
				moved += int64(20 * c.n * c.size)
			}
			p.stop()
			p.report(moved)
		})
	}
}

// A subscription to 10,000 records of 1 KiB, up to the last one.
func BenchmarkProcessSubscribeToShard(b *testing.B) {
	for _, secure := range []bool{false, true} {
		name := "JSON/10000x1KiB"
		if secure {
			name = "JSON/TLS/10000x1KiB"
		}
		b.Run(name, func(b *testing.B) {
			p := startProcess(b, 1)
			w, moved := p.dial(secure), int64(0)
			for range 20 {
				w.do(request("PutRecords", jsonContent, manyRecords(500, 1024)))
			}
			w.do(request("RegisterStreamConsumer", jsonContent,
				[]byte(`{"StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/orders","ConsumerName":"reader"}`)))
			message := request("SubscribeToShard", jsonContent, w.subscription())
			for b.Loop() {
				b.StopTimer()
				w := p.dial(secure)
				p.tell("6s") // or the subscription before is in the way
				p.start()
				w.begin(message)
				w.skipUntil(`"MillisBehindLatest":0`)
				p.stop()
				b.StartTimer()
				moved += 10000 * 1024
			}
			p.report(moved)
		})
	}
}

// subscription is the body of a SubscribeToShard request from the beginning.
func (w *wire) subscription() []byte {
	b := make([]byte, w.begin(request("ListStreamConsumers", jsonContent, []byte(`{"StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/orders"}`))))
	if _, err := io.ReadFull(w.r, b); err != nil {
		w.b.Fatal(err)
	}
	_, arn, _ := strings.Cut(string(b), `"ConsumerARN":"`)
	arn, _, _ = strings.Cut(arn, `"`)
	return fmt.Appendf(nil, `{"ConsumerARN":%q,"ShardId":"shardId-000000000000","StartingPosition":{"Type":"TRIM_HORIZON"}}`, arn)
}

// skipUntil reads what arrives away until the text is among it.
func (w *wire) skipUntil(text string) {
	b := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := w.r.Read(b[kept:])
		n += kept
		switch {
		case bytes.Contains(b[max(0, kept-len(text)):n], []byte(text)):
			return
		case err != nil:
			w.b.Fatal(err)
		}
		kept = copy(b, b[max(0, n-len(text)):n])
	}
}
