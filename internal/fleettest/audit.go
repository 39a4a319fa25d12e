package fleettest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/aggregate"
	"github.com/libvegas/vegas/localkinesis"
)

// audit keeps the accounts of a run: what was sent and how that ended, what
// each group was delivered, and what the server has. It knows records by a
// number in their payload and nothing of how they travel.
//
// It is not the auditor of package simulate, which looks into the machines and
// has no wire, nor that of the command line's demo, which counts and knows
// neither receipts nor checkpoints nor crashes.
type audit struct {
	trace *trace

	mu       sync.Mutex
	problems []string
	sent     []*sent // by number
	groups   []*account
	looked   map[place]bool // stored records that were seen on the server
}

// sent is a record on the sender's side.
type sent struct {
	n    int
	key  string
	size int
	// life names the run of a program that sent it: what has an order with
	// what. Empty: a foreign writer, without order and marks.
	life string
	// sure: nothing that would make a producer give up can have happened.
	sure bool

	results int
	receipt vegas.Receipt
	err     error
	stored  map[place]time.Time // by the server's own account, with the time of arrival
}

// place is where a record lies.
type place struct {
	shard, sequence string
	index           int64
}

func (p place) String() string { return fmt.Sprintf("%s %s/%d", p.shard, p.sequence, p.index) }

const problemsMost = 30

func (a *audit) fail(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed(format, args...)
}

// failed is fail with mu held.
func (a *audit) failed(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	a.trace.add("PROBLEM: %s", s)
	if len(a.problems) < problemsMost {
		a.problems = append(a.problems, s)
	}
}

// next numbers a record. The payload is the number, padded to size.
func (a *audit) next(key, life string, size int, sure bool) (*sent, *vegas.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &sent{n: len(a.sent), key: key, life: life, sure: sure}
	data := payload(s.n, size)
	s.size = len(data)
	a.sent = append(a.sent, s)
	return s, &vegas.Record{PartitionKey: key, Data: data}
}

func payload(n, size int) []byte {
	data := fmt.Appendf(nil, "%d:", n)
	if pad := size - len(data); pad > 0 {
		data = append(data, bytes.Repeat([]byte{byte('a' + n%26)}, pad)...)
	}
	return data
}

// of finds the record of a payload; nil if there was none like it.
func (a *audit) of(key string, data []byte) *sent {
	head, _, _ := bytes.Cut(data, []byte{':'})
	n, err := strconv.Atoi(string(head))
	if err != nil || n < 0 || n >= len(a.sent) {
		return nil
	}
	if s := a.sent[n]; s.key == key && bytes.Equal(data, payload(n, s.size)) {
		return s
	}
	return nil
}

// ended takes the result of a record.
func (a *audit) ended(s *sent, r vegas.Receipt, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.results++
	s.receipt, s.err = r, err
	switch {
	case err != nil:
		a.trace.add("%s: record %d of %s fails: %v", s.life, s.n, s.key, err)
	default:
		a.trace.add("%s: record %d of %s is at %s %v", s.life, s.n, s.key, r.Shard, r.Position)
	}
	if s.results > 1 {
		a.failed("record %d has a second result", s.n)
	}
}

func (s *sent) acked() bool { return s.results > 0 && s.err == nil }

// notStored: the caller may rely on it not being in the stream.
func (s *sent) notStored() bool {
	failed, ok := errors.AsType[*vegas.SendError](s.err)
	return ok && failed.Outcome == vegas.NotStored
}

// account is what a group was delivered.
type account struct {
	*audit
	group string
	loose bool      // no order and no marks: the distribution was AUTO
	from  time.Time // what arrived before is not the group's; zero: everything is

	first    []arrival // in the order of their first delivery
	last     map[*sent]*visits
	owners   map[string]*worker         // of shards
	inside   map[string]map[*worker]int // how many handlers of whom are at work on a shard
	unsure   map[string]bool            // shards whose last possession did not end in good order
	repeated int
}

// arrival is the first delivery of a record.
type arrival struct {
	*sent
	aggregated bool
}

// visits are the deliveries of a record: one place, or several where copies of
// it lie that nothing tells apart.
type visits struct {
	all  []*visit
	last *visit
}

// visit is a place from which a record was delivered.
type visit struct {
	shard    string
	at       vegas.Position
	forgiven bool // it may come again: it lay behind the checkpoint of a crash
}

func (v *visits) of(r *vegas.Record) *visit {
	for _, o := range v.all {
		if o.shard == r.Shard && o.at == r.Position {
			return o
		}
	}
	return nil
}

func (a *audit) account(group string, loose bool) *account {
	c := &account{audit: a, group: group, loose: loose, last: map[*sent]*visits{}, owners: map[string]*worker{}, inside: map[string]map[*worker]int{}, unsure: map[string]bool{}}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.groups = append(a.groups, c)
	return c
}

// began: the group starts with what arrived at a time or later.
func (c *account) began(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.from = at
}

// concerns tells that every copy of a record arrived since the group's start.
func (c *account) concerns(s *sent) bool {
	for _, arrival := range s.stored {
		if arrival.Before(c.from) {
			return false
		}
	}
	return true
}

// deliver takes records that a worker is done with, and tells whether it lives.
func (c *account) deliver(w *worker, rs ...*vegas.Record) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.dead {
		return false
	}
	for _, r := range rs {
		c.one(w, r)
	}
	return true
}

func (c *account) one(w *worker, r *vegas.Record) {
	s := c.of(r.PartitionKey, r.Data)
	if s == nil {
		c.failed("%s: a record that nobody sent: key %q, data %.40q at %s %v", c.group, r.PartitionKey, r.Data, r.Shard, r.Position)
		return
	}
	c.trace.add("%s: record %d of %s at %s %v", w.name, s.n, s.key, r.Shard, r.Position)
	if owner := c.owners[r.Shard]; owner != w {
		name := "nobody"
		if owner != nil {
			name = owner.name
		}
		c.failed("%s: %s delivers record %d of %s, which %s owns", c.group, w.name, s.n, r.Shard, name)
	}
	if r.ArrivalTime.Before(c.from) {
		c.failed("%s: record %d arrived at %v, before the start of the group at %v", c.group, s.n, r.ArrivalTime, c.from)
	}
	v := c.last[s]
	if v == nil {
		v = &visits{}
		c.last[s] = v
		c.first = append(c.first, arrival{s, r.Aggregated})
	} else {
		c.repeated++
	}
	// Without an identity, or with one that readers could not use, each copy
	// comes once; else one of them.
	here := v.of(r)
	before := v.last
	if anonymous := !r.Aggregated || s.life == "" || c.loose; anonymous {
		before = here
	}
	if here == nil {
		here = &visit{shard: r.Shard, at: r.Position}
		v.all = append(v.all, here)
	}
	v.last = here
	if before != nil && !before.forgiven {
		c.failed("%s: duplicate: record %d of %s comes from %s %v after %s %v", c.group, s.n, s.key, r.Shard, r.Position, before.shard, before.at)
	}
	if before != nil {
		before.forgiven = false
	}
}

// missing is how many acknowledged records of the group were not delivered yet.
// look tells where what is.
func (c *account) missing(look func()) int {
	n := c.waiting(func(*sent) bool { return true })
	c.mu.Lock()
	all := c.from.IsZero()
	c.mu.Unlock()
	if n == 0 || all {
		return n
	}
	look()
	return c.waiting(c.concerns)
}

func (c *account) waiting(concerns func(*sent) bool) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sent {
		if s.acked() && c.last[s] == nil && concerns(s) {
			n++
		}
	}
	return n
}

// sums are what a run came to.
type sums struct {
	accepted, acked, notStored, unknown, delivered, repeated int
}

// look takes the server's own account of what is stored.
func (a *audit) look(srv *localkinesis.Server, stream string) {
	all, err := srv.Records(stream, "")
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.failed("the server's records: %v", err)
		return
	}
	found := func(key string, data []byte, at place, arrival time.Time) {
		s := a.of(key, data)
		if s == nil {
			a.failed("a record that nobody sent is stored at %v: key %q, data %.40q", at, key, data)
			return
		}
		if s.stored == nil {
			s.stored = map[place]time.Time{}
		}
		s.stored[at] = arrival
	}
	if a.looked == nil {
		a.looked = map[place]bool{}
	}
	var agg aggregate.Aggregate
	for _, r := range all {
		at := place{r.Shard, r.Sequence, 0}
		if a.looked[at] {
			continue
		}
		a.looked[at] = true
		switch err := aggregate.Decode(r.Data, &agg); {
		case errors.Is(err, aggregate.ErrNotAggregate):
			found(r.PartitionKey, r.Data, at, r.Arrival)
		case err != nil || !agg.HasIdentity:
			a.failed("%s %s: an aggregate that does not decode: %v, %v", r.Shard, r.Sequence, err, agg.IdentityError)
		default:
			for i, sub := range agg.Subs {
				found(sub.Key, sub.Data, place{r.Shard, r.Sequence, int64(i)}, r.Arrival)
			}
		}
	}
}

// close checks the books once everything has ended.
func (a *audit) close() (n sums) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.sent {
		n.accepted++
		at := place{s.receipt.Shard, s.receipt.Position.Sequence, s.receipt.Position.SubSequence}
		switch {
		case s.results != 1:
			a.failed("record %d of %s has %d results", s.n, s.key, s.results)
		case s.err == nil:
			n.acked++
			if _, ok := s.stored[at]; !ok {
				a.failed("record %d is not at %v, as its receipt says, but at %v", s.n, at, s.stored)
			}
		default:
			a.failure(s, &n)
		}
	}
	for _, c := range a.groups {
		c.close(&n)
	}
	return n
}

func (a *audit) failure(s *sent, n *sums) {
	if _, ok := errors.AsType[*vegas.SendError](s.err); !ok && s.life != "" {
		a.failed("record %d: %T is no SendError: %v", s.n, s.err, s.err)
	}
	if s.notStored() {
		n.notStored++
		if len(s.stored) > 0 {
			a.failed("record %d is reported as not stored (%v) and stored at %v", s.n, s.err, s.stored)
		}
	} else {
		n.unknown++
	}
	if s.sure {
		a.failed("record %d failed, and nothing can have made it: %v", s.n, s.err)
	}
}

// chain is what has an order of its own besides that of acknowledged records.
type chain struct{ key, life string }

func (c *account) close(n *sums) {
	n.repeated += c.repeated
	n.delivered += len(c.last)
	for _, s := range c.sent {
		if s.acked() && c.last[s] == nil && c.concerns(s) {
			c.failed("%s: lost: record %d of %s is acknowledged at %s %v", c.group, s.n, s.key, s.receipt.Shard, s.receipt.Position)
		}
		if s.notStored() && c.last[s] != nil {
			c.failed("%s: record %d is reported as not stored and was delivered", c.group, s.n)
		}
	}
	if c.loose {
		return
	}
	acked := map[string]*sent{}
	marked := map[chain]*sent{}
	for _, f := range c.first {
		s := f.sent
		if s.life == "" || !c.concerns(s) {
			continue // the group began between its copies
		}
		k := chain{s.key, s.life}
		switch before, mark := acked[s.key], marked[k]; {
		case s.acked() && before != nil && before.n > s.n:
			c.failed("%s: inverted: record %d of %s comes after %d", c.group, s.n, s.key, before.n)
		case f.aggregated && mark != nil && mark.n > s.n:
			// One whose result is unknown and that is applied late: the mark
			// of a later one holds it back.
			c.failed("%s: record %d of %s, of unknown result, comes after %d", c.group, s.n, s.key, mark.n)
		case s.acked():
			acked[s.key] = s
			if f.aggregated {
				marked[k] = s
			}
		}
	}
}
