package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/record"
)

// The invariants of the log. A violation names one.
const (
	invKept      = "a record that was durable comes out again"
	invDead      = "a dead letter stays one"
	invOnce      = "a record comes out once in an opening"
	invOrdered   = "records come out in the order of their numbers"
	invIdentity  = "an identity names one record, and a record keeps its identity"
	invUnchanged = "a record comes out as it was appended"
	invAppended  = "nothing comes out that was not appended"
	invSynced    = "what came out of Next was durable"
	invUncounted = "what was never durable does not count as lost"
	invWorks     = "the buffer opens, takes and gives"
)

// violations collects them: planted bugs must be found.
type violations struct {
	mu   sync.Mutex
	list []string
}

func (v *violations) add(invariant, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list = append(v.list, invariant+": "+fmt.Sprintf(format, args...))
}

func (v *violations) found() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.list)
}

// identity is what consumers recognise a record by.
type identity struct {
	producer [16]byte
	seq      uint64
}

func (i identity) String() string { return fmt.Sprintf("%d of %x", i.seq, i.producer[:3]) }

func identityOf(it *buffer.Item) identity { return identity{it.Producer, it.Seq} }

// registry remembers through all openings, also of copies of a directory, what
// each identity names.
type registry struct {
	mu    sync.Mutex
	names map[identity]naming
}

type naming struct {
	number   int       // of the record
	accepted time.Time // zero: not known yet
}

func newRegistry() *registry { return &registry{names: map[identity]naming{}} }

// register tells what the identity names otherwise.
func (r *registry) register(id identity, name naming) (other naming, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	had, known := r.names[id]
	if known && (had.number != name.number || !had.accepted.IsZero() && !had.accepted.Equal(name.accepted)) {
		return had, false
	}
	r.names[id] = name
	return naming{}, true
}

// claim is what a buffer owes for a record.
type claim int

const (
	mayCome      claim = iota // it may come out
	mustCome                  // it must
	hasCome                   // it must: it came out before anybody was told that it is durable
	wasAcked                  // it may
	beingBuried               // it comes out or is a dead letter
	isDead                    // it is a dead letter and does not come out
	beingRevived              // it is a dead letter or comes out anew, perhaps more than once
	isRevived                 // it comes out anew
)

// debt is what a buffer owes for a record.
type debt struct {
	record *record.Record
	state  claim
	dead   buffer.Dead // what it was buried with
}

// debts are what a buffer owes, by number of the record. The number is in its data.
type debts struct {
	violations *violations
	registry   *registry
	mu         sync.Mutex
	all        map[int]*debt
	retired    map[identity]bool // they were dead letters: what they name comes out under other ones
}

func newDebts(v *violations, r *registry) *debts {
	return &debts{violations: v, registry: r, all: map[int]*debt{}, retired: map[identity]bool{}}
}

// clone is for another course of events.
func (d *debts) clone() *debts {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newDebts(d.violations, d.registry)
	c.retired = maps.Clone(d.retired)
	for n, one := range d.all {
		c.all[n] = new(*one)
	}
	return c
}

// set changes the state of records, where they have one of the others.
func (d *debts) set(to claim, numbers []int, from ...claim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range numbers {
		if one := d.all[n]; one != nil && (len(from) == 0 || slices.Contains(from, one.state)) {
			one.state = to
		}
	}
}

func (d *debts) add(n int, r *record.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all[n] = &debt{record: r}
}

// having are the numbers of records in a state.
func (d *debts) having(s claim) []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	var numbers []int
	for n, one := range d.all {
		if one.state == s {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// numberOf is that of the record with this data; 0: there is none.
func numberOf(data []byte) int {
	text, _, _ := strings.Cut(string(data[:min(len(data), 20)]), " ")
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// compare reports an item that is not what was appended, or has another identity
// than it had, and returns its number.
func (d *debts) compare(it *buffer.Item, where string) int {
	n := numberOf(it.Data)
	one := d.all[n]
	if one == nil {
		d.violations.add(invAppended, "%s has %s, %.60q", where, identityOf(it), it.Data)
		return 0
	}
	r := one.record
	if it.Key != r.PartitionKey || it.ExplicitHashKey != r.ExplicitHashKey || !bytes.Equal(it.Data, r.Data) || !slices.Equal(it.Headers, r.Headers) {
		d.violations.add(invUnchanged, "%s has record %d as %.200v", where, n, it)
	}
	if other, ok := d.registry.register(identityOf(it), naming{n, it.Accepted}); !ok {
		d.violations.add(invIdentity, "%s has %s for record %d of %s, it was record %d of %s", where, identityOf(it), n, it.Accepted, other.number, other.accepted)
	}
	return n
}

// opening is what came out of one.
type opening struct {
	debts *debts
	out   map[identity]int // record numbers
	last  uint64
}

func newOpening(d *debts) *opening { return &opening{debts: d, out: map[identity]int{}} }

// take checks an item that came out of Next, and remembers that it was durable.
func (o *opening) take(it *buffer.Item) int {
	d := o.debts
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.compare(it, "Next")
	id := identityOf(it)
	if n == 0 {
		return 0
	}
	one := d.all[n]
	if _, twice := o.out[id]; twice {
		d.violations.add(invOnce, "record %d as %s", n, id)
	}
	o.out[id] = n
	if it.Seq <= o.last {
		d.violations.add(invOrdered, "%s after %d", id, o.last)
	}
	o.last = it.Seq
	if d.retired[id] || one.state == isDead {
		d.violations.add(invDead, "record %d came out as %s", n, id)
	}
	if one.state == mayCome {
		one.state = hasCome
	}
	return n
}

// drain takes all there is.
func (o *opening) drain(l *Log) (items []buffer.Item, err error) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		batch, err := l.Next(ctx, 3000)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return items, nil
		}
		if err != nil {
			return items, err
		}
		for i := range batch {
			o.take(&batch[i])
			it := batch[i]
			it.Data = bytes.Clone(it.Data) // valid until the next call
			items = append(items, it)
		}
	}
}

// settle checks, when all came out, that it was what was owed.
func (o *opening) settle(l *Log) {
	d := o.debts
	letters := map[int]bool{}
	err := l.Dead(context.Background(), func(dead *buffer.Dead) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		n := d.compare(&dead.Item, "Dead")
		if n == 0 {
			return true
		}
		if letters[n] && d.all[n].state != beingRevived {
			d.violations.add(invDead, "record %d is one twice", n)
		}
		letters[n] = true
		one := d.all[n]
		if one.state != beingBuried && one.state != isDead && one.state != beingRevived {
			d.violations.add(invDead, "record %d is one and was not buried (state %d)", n, one.state)
		}
		if dead.Reason != one.dead.Reason || dead.Unknown != one.dead.Unknown || !dead.At.Equal(one.dead.At) {
			d.violations.add(invUnchanged, "dead letter %d has %q, %v, %s; it had %q, %v, %s", n,
				dead.Reason, dead.Unknown, dead.At, one.dead.Reason, one.dead.Unknown, one.dead.At)
		}
		return true
	})
	if err != nil {
		d.violations.add(invWorks, "Dead: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	came := map[int]int{}
	for _, n := range o.out {
		came[n]++
	}
	for n, one := range d.all {
		switch one.state {
		case mustCome, isRevived:
			if came[n] == 0 {
				d.violations.add(invKept, "record %d is gone (a dead letter: %v)", n, letters[n])
			}
		case hasCome:
			if came[n] == 0 {
				d.violations.add(invSynced, "record %d is gone", n)
			}
		case isDead:
			if !letters[n] {
				d.violations.add(invDead, "record %d is gone", n)
			}
		case beingBuried, beingRevived:
			if came[n] == 0 && !letters[n] {
				d.violations.add(invDead, "record %d is gone", n)
			}
		}
		if came[n] > 1 && one.state != beingRevived && one.state != isRevived && one.state != wasAcked {
			d.violations.add(invOnce, "record %d came out %d times", n, came[n])
		}
	}
	s := l.Stats()
	if s.Lost != 0 {
		d.violations.add(invUncounted, "%d", s.Lost)
	}
	if s.Items != int64(len(o.out)) || s.Dead != int64(len(letters)) {
		d.violations.add(invWorks, "it has %d records and %d dead letters by its count; %d and %d came out", s.Items, s.Dead, len(o.out), len(letters))
	}
}
