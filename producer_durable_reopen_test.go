//go:build unix

package vegas_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/buffer/disk"
)

// durableChild makes this test binary a process with a durable buffer, so that
// its memory can be told from the test's.
const durableChild = "VEGAS_DURABLE_CHILD"

// TestReopenBacklog starts a producer on what one left that was killed: time and
// memory until the first record is on its way must not depend on how much that
// is. With -producer.numbers it is a gigabyte, which is sent to its end.
func TestReopenBacklog(t *testing.T) {
	megabytes, within, mib, whole := 64, 20*time.Second, int64(200), "" // with the race detector, on a busy machine
	if *durableNumbers {
		megabytes, within, mib, whole = 1000, time.Second, 64, "whole"
	}
	dir := t.TempDir()
	runDurableChild(t, "fill", dir, fmt.Sprint(megabytes))
	cfg := remote(t, 8)
	var first, drained time.Duration
	var memory, peak, left int64
	out := runDurableChild(t, "reopen", dir, *cfg.BaseEndpoint, whole)
	if _, err := fmt.Sscan(out, &first, &memory, &left, &drained, &peak); err != nil {
		t.Fatalf("the child says %q: %v", out, err)
	}
	t.Logf("%d records, %d MB: the first is on its way after %v, with at most %d KiB resident; all after %v, with at most %d KiB",
		left, megabytes, first.Round(time.Millisecond), memory, drained.Round(time.Millisecond), peak)
	if left < int64(megabytes)*1000 {
		t.Errorf("%d records are left, want %d", left, megabytes*1000)
	}
	if first > within {
		t.Errorf("the first record was on its way after %v, want %v", first, within)
	}
	if memory > mib<<10 {
		t.Errorf("%d KiB were resident when it was, want %d", memory, mib<<10)
	}
}

func runDurableChild(t *testing.T, args ...string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), durableChild+"="+strings.Join(args, "\n"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", args[0], err)
	}
	return string(out)
}

// beDurableChild is the child's main.
func beDurableChild(args []string) error {
	if args[0] == "fill" {
		return fillBacklog(args[1], args[2])
	}
	return reopenBacklog(args[1], args[2], args[3] != "")
}

// fillBacklog leaves a buffer as a process does that is killed.
func fillBacklog(dir, megabytes string) error {
	var n int
	if _, err := fmt.Sscan(megabytes, &n); err != nil {
		return err
	}
	ctx := context.Background()
	l := disk.New(dir, func(o *disk.Options) { o.Label = "orders" })
	if err := l.Open(ctx); err != nil {
		return err
	}
	rs := benchRecords(1000, 1000)
	for range n {
		seq, err := l.Append(ctx, rs, nil)
		if err == nil {
			err = l.Sync(ctx, seq+999)
		}
		if err != nil {
			return err
		}
	}
	os.Exit(0)
	return nil
}

// reopenBacklog prints how long it took, and the most memory so far, until the
// first record was on its way, and until all were sent.
func reopenBacklog(dir, endpoint string, whole bool) error {
	ctx := context.Background()
	began := time.Now()
	sent := &firstPut{sent: make(chan struct{})}
	p, err := vegas.NewProducer("orders", quietly, func(o *vegas.ProducerOptions) {
		o.Durable, o.DurableBytes = dir, 1<<40
		o.AWS = aws.Config{
			Region: "us-east-1", BaseEndpoint: aws.String(endpoint), HTTPClient: &http.Client{Transport: sent},
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}, nil
			}),
		}
	})
	if err != nil {
		return err
	}
	items := p.Stats().Durable.Items
	<-sent.sent
	fmt.Println(time.Since(began).Nanoseconds(), peakMemory(), items)
	if whole {
		if err := p.Flush(ctx); err != nil {
			return err
		}
	}
	fmt.Println(time.Since(began).Nanoseconds(), peakMemory())
	os.Exit(0)
	return nil
}

// firstPut tells when the first request with records leaves.
type firstPut struct {
	once sync.Once
	sent chan struct{}
}

func (f *firstPut) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutRecords") {
		f.once.Do(func() { close(f.sent) })
	}
	return http.DefaultTransport.RoundTrip(r)
}

// peakMemory is the most that was resident of this process, in KiB; 0 where that
// is not known.
func peakMemory() (kib int64) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			fmt.Sscan(v, &kib)
		}
	}
	return kib
}
