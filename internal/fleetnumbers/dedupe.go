//go:build unix

package fleetnumbers

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/localkinesis"
)

// Instructions are what a process carried out, in millions.
type Instructions struct {
	All, Removal float64
}

// Share is the part of removing duplicates.
func (i Instructions) Share() float64 { return i.Removal / i.All }

// removal are the functions that only removing duplicates needs: reading the
// identities of aggregates, and marks.
var removal = regexp.MustCompile(`vegas/internal/mark\.|vegas/internal/aggregate\.\(\*(Identity\)\.|Aggregate\)\.decodeIdentity)`)

// CountRemoval counts, with valgrind's cachegrind, the instructions of a process
// that consumes aggregated records of 100 bytes over HTTP: all of them, and those
// of removing duplicates. What these functions call of the runtime (a lookup in a
// map and a copy for each aggregate of some hundred records) is not among them.
func CountRemoval(t testing.TB, valgrind string, records int) Instructions {
	t.Helper()
	const shards = 4
	s := serve(t, shards, func(o *localkinesis.Options) { o.NoLimits = true })
	p, err := vegas.NewProducer(streamName, func(o *vegas.ProducerOptions) {
		o.AWS, o.Logger = awsOf(s.endpoint), slog.New(slog.DiscardHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []*vegas.Record
	for i := range records {
		all = append(all, &vegas.Record{PartitionKey: fmt.Sprintf("customer-%06d", i%10000), Data: make([]byte, 100)})
	}
	if _, err := p.SendAll(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	counts := filepath.Join(t.TempDir(), "counts")
	var r reading
	run(t, job{Do: "read", Endpoint: s.endpoint, Store: "file:" + t.TempDir(), Name: "counted", Lease: time.Hour, Shards: shards, Records: records}, &r,
		valgrind, "--quiet", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file="+counts)
	i, err := readCounts(counts)
	if err != nil {
		t.Fatal(err)
	}
	if i.Removal == 0 {
		t.Error("no function of this binary has a name: build it with go test -o FILE, which keeps the symbols")
	}
	return i
}

// readCounts adds up a file of cachegrind's: lines "fn=NAME", and for each
// function lines of source with their counts.
func readCounts(name string) (i Instructions, err error) {
	f, err := os.Open(name)
	if err != nil {
		return i, err
	}
	defer func() { _ = f.Close() }()
	of := false
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if fn, ok := strings.CutPrefix(lines.Text(), "fn="); ok {
			of = removal.MatchString(fn)
			continue
		}
		var line, n float64
		if k, _ := fmt.Sscan(lines.Text(), &line, &n); k != 2 {
			continue
		}
		i.All += n / 1e6
		if of {
			i.Removal += n / 1e6
		}
	}
	return i, lines.Err()
}
