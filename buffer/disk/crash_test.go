package disk

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/internal/crashfs"
	"github.com/libvegas/vegas/record"
)

var crashSeeds = flag.Int("seeds", 3, "how many scripts TestCrashes runs, each crashed at every step")

const crashDir = "spool"

var bufferDir = filepath.Join(crashDir, "buffer")

// course is one course of events: programs that use a buffer, one after the
// other, on a machine that stops at some step.
type course struct {
	fs     *crashfs.FS
	debts  *debts
	random *rand.Rand // decides what programs do
	broken rule
	bytes  int64

	log    *Log
	out    *opening
	have   []buffer.Item // what came out and was neither acknowledged nor buried
	from   int           // the first record that this opening may have got
	number *int          // of the last record that was made
}

func (c *course) stopped() bool {
	_, stopped := c.fs.Stopped()
	return stopped
}

// open begins an opening. It tells whether that succeeded.
func (c *course) open() bool {
	c.log = New(bufferDir, func(o *Options) {
		o.Label, o.Bytes, o.SegmentBytes, o.FS = "orders", c.bytes, 4096, c.fs
		o.Logger = slog.New(slog.DiscardHandler)
	})
	c.log.broken = c.broken
	c.out, c.have, c.from = newOpening(c.debts), nil, *c.number+1
	err := c.log.Open(context.Background())
	if err != nil && !c.stopped() {
		c.debts.violations.add(invWorks, "open: %v", err)
	}
	return err == nil
}

// make makes the next record.
func (c *course) make() *record.Record {
	*c.number++
	n := *c.number
	r := &record.Record{PartitionKey: fmt.Sprintf("key %d", c.random.IntN(5))}
	r.Data = fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", c.random.IntN(40)))
	switch c.random.IntN(6) {
	case 0:
		r.Headers = []record.Header{{Key: "trace", Value: fmt.Sprint(n)}, {Key: "empty"}}
	case 1:
		r.ExplicitHashKey = "12345678901234567890"
	case 2:
		r.Data = append(r.Data, make([]byte, c.random.IntN(2000))...)
	}
	return r
}

// append appends some records and returns their numbers.
func (c *course) append(count int) (last uint64, numbers []int, ok bool) {
	var records []*record.Record
	for range count {
		records = append(records, c.make())
		numbers = append(numbers, *c.number)
	}
	last, ok = c.offer(records, numbers)
	return last, numbers, ok
}

// offer appends records. Many may do so at once.
func (c *course) offer(records []*record.Record, numbers []int) (last uint64, ok bool) {
	log := c.log
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	first, err := log.Append(ctx, records, func(first uint64) {
		for i, n := range numbers {
			c.debts.add(n, records[i])
			id := identity{log.producer, first + uint64(i)}
			if other, ok := c.debts.registry.register(id, naming{number: n}); !ok {
				c.debts.violations.add(invIdentity, "record %d gets %s, which names %d", n, id, other.number)
			}
		}
	})
	switch {
	case err == nil:
		return first + uint64(len(records)) - 1, true
	case !c.stopped() && !errors.Is(err, record.ErrBufferFull):
		c.debts.violations.add(invWorks, "append: %v", err)
	}
	return 0, false
}

// sync waits until records are durable.
func (c *course) sync(last uint64, numbers []int) {
	switch err := c.log.Sync(context.Background(), last); {
	case err == nil:
		c.debts.set(mustCome, numbers, mayCome, hasCome)
	case !c.stopped():
		c.debts.violations.add(invWorks, "sync: %v", err)
	}
}

// take takes what Next has.
func (c *course) take() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	batch, err := c.log.Next(ctx, 1+c.random.IntN(4000))
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) && !c.stopped() {
			c.debts.violations.add(invWorks, "next: %v", err)
		}
		return
	}
	for i := range batch {
		c.out.take(&batch[i])
		it := batch[i]
		it.Data = append([]byte(nil), it.Data...)
		c.have = append(c.have, it)
	}
}

// pick takes some of what came out, each with a chance.
func (c *course) pick(chance float64) (items []buffer.Item, numbers []int) {
	var rest []buffer.Item
	for _, it := range c.have {
		if c.random.Float64() < chance {
			items = append(items, it)
			numbers = append(numbers, numberOf(it.Data))
		} else {
			rest = append(rest, it)
		}
	}
	c.have = rest
	return items, numbers
}

func (c *course) ack(chance float64) {
	items, numbers := c.pick(chance)
	var seqs []uint64
	for _, it := range items {
		seqs = append(seqs, it.Seq)
		delete(c.out.out, identityOf(&it))
	}
	c.debts.set(wasAcked, numbers, mustCome, hasCome, isRevived)
	c.log.Ack(seqs)
}

func (c *course) bury() {
	items, _ := c.pick(0.15)
	var dead []buffer.Dead
	var numbers []int
	for _, it := range items {
		n := numberOf(it.Data)
		c.debts.mu.Lock()
		one := c.debts.all[n]
		sound := one != nil && (one.state == mustCome || one.state == hasCome) // else there are copies of it
		if sound {
			d := buffer.Dead{Item: it, Reason: fmt.Sprintf("reason %d", n), Unknown: n%2 == 0, At: time.Now()}
			one.state, one.dead = beingBuried, d
			dead, numbers = append(dead, d), append(numbers, n)
		}
		c.debts.mu.Unlock()
		if !sound {
			c.have = append(c.have, it)
		}
	}
	if len(dead) == 0 {
		return
	}
	err := c.log.Bury(context.Background(), dead)
	if isFull(err) { // it is tried until there is room
		c.fs.Room(-1, false)
		err = c.log.Bury(context.Background(), dead)
	}
	if err != nil {
		if !c.stopped() {
			c.debts.violations.add(invWorks, "bury: %v", err)
		}
		return
	}
	c.debts.set(isDead, numbers)
	c.debts.mu.Lock()
	defer c.debts.mu.Unlock()
	for i := range dead {
		c.debts.retired[identityOf(&dead[i].Item)] = true
		delete(c.out.out, identityOf(&dead[i].Item))
	}
}

func (c *course) replay() {
	letters := append(c.debts.having(isDead), c.debts.having(beingBuried)...)
	letters = append(letters, c.debts.having(beingRevived)...)
	c.debts.set(beingRevived, letters)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	n, err := c.log.Replay(ctx)
	if err != nil {
		if !c.stopped() && !errors.Is(err, record.ErrBufferFull) {
			c.debts.violations.add(invWorks, "replay: %v", err)
		}
		return
	}
	if n > len(letters) {
		c.debts.violations.add(invOnce, "%d dead letters were replayed, there were at most %d", n, len(letters))
	}
	c.debts.set(isRevived, letters)
}

// burst appends by many at once.
func (c *course) burst() {
	var all sync.WaitGroup
	for range 3 {
		records, numbers := []*record.Record{c.make(), c.make()}, []int{*c.number - 1, *c.number}
		all.Go(func() {
			if last, ok := c.offer(records, numbers); ok {
				c.sync(last, numbers)
			}
		})
	}
	all.Wait()
}

// end ends an opening in order.
func (c *course) end() {
	err := c.log.Close()
	if c.stopped() {
		return
	}
	if err != nil {
		c.debts.violations.add(invWorks, "close: %v", err)
		return
	}
	c.debts.set(mustCome, slices.DeleteFunc(c.debts.having(mayCome), func(n int) bool { return n < c.from }))
}

// kill ends the process; the machine goes on.
func (c *course) kill() {
	synctest.Wait()
	next := c.fs.Kill()
	stopped := c.stopped()
	c.fs.Stop()
	_ = c.log.Close()
	if !stopped {
		c.fs = next
	}
}

// run runs a script until it ends or the machine stops. The last opening is
// over when it returns.
func (c *course) run(actions int) {
	for openings := 0; actions > 0 && !c.stopped(); openings++ {
		if !c.open() {
			return
		}
		for n := 4 + c.random.IntN(25); n > 0 && actions > 0 && !c.stopped(); n-- {
			actions--
			c.act()
			if c.random.IntN(3) > 0 {
				synctest.Wait()
			}
		}
		if c.random.IntN(2) == 0 {
			c.end()
		} else {
			c.kill()
		}
	}
}

// fill lets the disk be full for a while.
//
//tidy:bubble courses run in one
func (c *course) fill() {
	c.fs.Room(used(c.fs)+c.random.Int64N(3000), c.random.IntN(2) == 0)
	last, numbers, ok := c.append(1 + c.random.IntN(4))
	c.take()
	if c.random.IntN(2) == 0 {
		c.bury()
	}
	c.ack([]float64{0.5, 1}[c.random.IntN(2)])
	time.Sleep(2 * retryEvery)
	c.fs.Room(-1, false)
	if ok {
		c.sync(last, numbers)
	}
}

func (c *course) act() {
	switch c.random.IntN(15) {
	case 0, 1:
		if last, numbers, ok := c.append(1 + c.random.IntN(4)); ok {
			c.sync(last, numbers)
		}
	case 2, 3:
		c.append(1 + c.random.IntN(3))
	case 4, 5:
		c.burst()
	case 6, 7, 8:
		c.take()
	case 9:
		c.ack(0.4)
	case 10, 11:
		c.ack(0.9)
	case 12:
		c.bury()
	case 13:
		if c.random.IntN(2) == 0 {
			c.replay()
		}
	case 14:
		if c.broken == noRule { // what breaks one knows nothing of second tries
			c.fill()
		}
	}
}

// audit opens what a crash left and checks it: all that comes out, that it is
// the same at the next opening, and that the buffer takes and gives.
func audit(fs *crashfs.FS, d *debts, broken rule, number int, bytes int64) {
	c := &course{fs: fs, debts: d, random: rand.New(rand.NewPCG(1, 1)), broken: broken, bytes: 2 * bytes, number: &number}
	var first map[identity]int
	for again := range 2 {
		if !c.open() {
			return
		}
		if _, err := c.out.drain(c.log); err != nil {
			d.violations.add(invWorks, "next: %v", err)
		}
		c.out.settle(c.log)
		if again == 0 {
			first = c.out.out
		}
		for id, n := range first {
			if _, ok := c.out.out[id]; !ok {
				d.violations.add(invKept, "record %d, %s, came out, and not at the next opening", n, id)
			}
		}
		last, numbers, ok := c.append(1)
		if !ok {
			d.violations.add(invWorks, "nothing can be appended")
		} else {
			c.sync(last, numbers)
			had := len(c.out.out)
			if _, err := c.out.drain(c.log); err != nil || len(c.out.out) != had+1 {
				d.violations.add(invWorks, "next after an append: %d records, %v", len(c.out.out)-had, err)
			}
			first[identity{c.log.producer, last}] = numbers[0]
		}
		c.end()
	}
}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

// crashes is what is done with each script.
type crashes struct {
	seed    uint64
	actions int
	broken  rule
	bytes   int64
	draws   int // crashes at each step
	// enough tells whether what was found ends it.
	enough func(found []string) bool

	registry *registry
	found    violations
	steps    int
	cases    int
	kinds    map[crashfs.Kind]int
}

// course runs the script until a step.
func (s *crashes) course(t *testing.T, stopAt int, how crashfs.How) *course {
	c := &course{
		fs: crashfs.New(crashDir), debts: newDebts(&s.found, s.registry), number: new(int),
		random: rand.New(rand.NewPCG(s.seed, 0)), broken: s.broken, bytes: s.bytes,
	}
	c.fs.StopAt(stopAt, how)
	synctest.Test(t, func(*testing.T) { c.run(s.actions) })
	return c
}

// run stops the script at every step, in every way, and audits what crashes may
// leave of that; also where recovery itself is crashed.
func (s *crashes) run(t *testing.T) {
	s.registry, s.kinds = newRegistry(), map[crashfs.Kind]int{}
	for step := 1; ; step++ {
		for _, how := range []crashfs.How{crashfs.Before, crashfs.Half, crashfs.After} {
			c := s.course(t, step, how)
			op, stopped := c.fs.Stopped()
			if how == crashfs.Half && op.Kind != crashfs.Write {
				continue
			}
			s.kinds[op.Kind]++
			s.crash(t, c, fmt.Sprintf("seed %d, step %d (%s) %s", s.seed, step, op, how))
			if s.enough(s.found.found()) {
				return
			}
			if !stopped {
				s.steps = step
				return
			}
			if how == crashfs.Before && step > 100000 {
				t.Fatal("a script without an end")
			}
		}
	}
}

func (s *crashes) crash(t *testing.T, c *course, where string) {
	random := rand.New(rand.NewPCG(s.seed, uint64(c.fs.Steps())))
	for draw := range s.draws {
		left := c.fs.Kill()
		if draw > 0 {
			left = c.fs.Crash(random)
		}
		d, number := c.debts.clone(), *c.number
		before := len(s.found.found())
		// Every other time recovery meets the same fate at one of its steps.
		if draw%2 == 0 {
			left.StopAt(left.Steps()+1+random.IntN(15), crashfs.How(random.IntN(3)))
			synctest.Test(t, func(*testing.T) {
				again := &course{fs: left, debts: d, random: random, broken: s.broken, bytes: s.bytes, number: &number}
				if again.open() {
					_, _ = again.out.drain(again.log)
					_ = again.log.Close()
				}
			})
			left = left.Crash(random)
		}
		synctest.Test(t, func(*testing.T) { audit(left, d, s.broken, number, s.bytes) })
		s.cases++
		if found := s.found.found(); len(found) > before {
			if s.broken == noRule {
				t.Errorf("%s, crash %d:\n\t%s", where, draw, strings.Join(found[before:], "\n\t"))
			}
			if s.enough(found) {
				return
			}
		}
	}
}

// A script is stopped at each of its steps, which is not done, half done or done
// then, and crashes at whatever was not synced. Whatever is left is recovered,
// and recovery is crashed, too.
func TestCrashes(t *testing.T) {
	seeds, draws := *crashSeeds, 5
	if testing.Short() {
		seeds, draws = 1, 2
	}
	kinds := map[crashfs.Kind]int{}
	for seed := range seeds {
		s := crashes{seed: uint64(seed), actions: 60, draws: draws}
		s.enough = func(found []string) bool { return len(found) >= 10 }
		if seed%3 == 2 {
			s.bytes = 24 << 10 // room is short
		}
		s.run(t)
		t.Logf("seed %d: %d steps, %d crashes", seed, s.steps, s.cases)
		for kind, n := range s.kinds {
			kinds[kind] += n
		}
		if t.Failed() {
			return
		}
	}
	for _, kind := range []crashfs.Kind{crashfs.Create, crashfs.Write, crashfs.Sync, crashfs.Rename, crashfs.Remove, crashfs.SyncDir} {
		if kinds[kind] == 0 {
			t.Errorf("no script was stopped at a %s", kind)
		}
	}
}

// Each rule that is left out is missed: by name of what is no longer so.
func TestPlantedBugsAreCaught(t *testing.T) {
	for _, bug := range []struct {
		name   string
		broken rule
		missed string
	}{
		{"no fsync", syncData, invKept},
		{"no fsync of the directory", syncNames, invKept},
		{"removed before it was acknowledged", removeAcked, invKept},
		{"buried before it was durable", buryFirst, invDead},
		{"given out before it was durable", giveSynced, invSynced},
		{"producer id used again", drawProducer, invIdentity},
	} {
		t.Run(bug.name, func(t *testing.T) {
			missed := func(found []string) bool {
				return slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, bug.missed) })
			}
			for seed := range uint64(10) {
				s := crashes{seed: seed, actions: 60, draws: 4, broken: bug.broken, enough: missed}
				s.run(t)
				if missed(s.found.found()) {
					return
				}
			}
			t.Error("not caught")
		})
	}
}
