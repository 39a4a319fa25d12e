//go:build unix

package fleetnumbers

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libvegas/vegas"
)

// delivery is one batch that a worker's handler has handled.
type delivery struct {
	Worker, Shard string
	Began, Ended  time.Time // of the handler
	Sent          time.Time // the oldest record
	Numbers       []int64   // of the records, in their shard
}

// payload is what a record holds.
func payload(number int64, sent time.Time) []byte {
	return fmtInts(number, sent.UnixNano())
}

func fmtInts(a, b int64) []byte {
	return append(append(strconv.AppendInt(nil, a, 10), ' '), strconv.FormatInt(b, 10)...)
}

// handled makes a delivery of a batch.
func handled(worker string, b *vegas.Batch, began, ended time.Time) delivery {
	d := delivery{Worker: worker, Shard: b.Records[0].Shard, Began: began, Ended: ended}
	for i, r := range b.Records {
		number, sent, _ := strings.Cut(string(r.Data), " ")
		n, _ := strconv.ParseInt(number, 10, 64)
		if d.Numbers = append(d.Numbers, n); i == 0 {
			ns, _ := strconv.ParseInt(sent, 10, 64)
			d.Sent = time.Unix(0, ns)
		}
	}
	return d
}

// ledger is what was delivered to a group.
type ledger struct {
	mu      sync.Mutex
	changed chan struct{} // closed and made anew with every entry
	shards  map[string]*history
	lost    int // leases that living workers could not prove
}

// history is what was delivered of one shard.
type history struct {
	deliveries []delivery
	times      map[int64]int // each record was delivered
}

func newLedger() *ledger {
	return &ledger{changed: make(chan struct{}), shards: map[string]*history{}}
}

func (l *ledger) enter(d delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.shards[d.Shard]
	if h == nil {
		h = &history{times: map[int64]int{}}
		l.shards[d.Shard] = h
	}
	h.deliveries = append(h.deliveries, d)
	for _, n := range d.Numbers {
		h.times[n]++
	}
	l.wake()
}

func (l *ledger) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost++
	l.wake()
}

func (l *ledger) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// until waits until so says so, which is asked again after every entry. so is
// called with the ledger locked.
func (l *ledger) until(limit time.Duration, so func() bool) bool {
	over := time.NewTimer(limit)
	defer over.Stop()
	for {
		l.mu.Lock()
		ok, changed := so(), l.changed
		l.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-over.C:
			return false
		}
	}
}

// owned counts the shards by who handled their last records.
func (l *ledger) owned() map[string]int {
	n := map[string]int{}
	for _, h := range l.shards {
		n[h.owner()]++
	}
	return n
}

func (h *history) owner() string { return h.deliveries[len(h.deliveries)-1].Worker }

// of is a worker's shards.
func (l *ledger) of(worker string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for id, h := range l.shards {
		if h.owner() == worker {
			out = append(out, id)
		}
	}
	return out
}

// next is the first delivery of a shard to another worker that began after a time.
func (h *history) next(former string, after time.Time) (delivery, bool) {
	for _, d := range h.deliveries {
		if d.Worker != former && d.Began.After(after) {
			return d, true
		}
	}
	return delivery{}, false
}

// last is when a worker's handler returned last on a shard.
func (h *history) last(worker string) time.Time {
	var at time.Time
	for _, d := range h.deliveries {
		if d.Worker == worker {
			at = d.Ended
		}
	}
	return at
}

// repeated counts deliveries beyond a record's first.
func (l *ledger) repeated() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, h := range l.shards {
		for _, times := range h.times {
			n += times - 1
		}
	}
	return n
}

// missing counts records up to a number that were never delivered.
func (l *ledger) missing(upTo int64) int {
	n := 0
	for _, h := range l.shards {
		for i := int64(1); i <= upTo; i++ {
			if h.times[i] == 0 {
				n++
			}
		}
	}
	return n
}

// silences are, of each shard, the longest time in which one of its records was
// there and none was delivered, between two times.
func (l *ledger) silences(from, to time.Time) Times {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out Times
	for _, h := range l.shards {
		var longest time.Duration
		var before time.Time
		for _, d := range h.deliveries {
			if d.Began.After(from) && d.Began.Before(to) {
				since := d.Sent
				if before.After(since) {
					since = before
				}
				longest = max(longest, d.Began.Sub(since))
			}
			before = d.Ended
		}
		out = append(out, longest)
	}
	return out
}
