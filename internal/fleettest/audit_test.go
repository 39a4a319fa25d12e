package fleettest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/store"
	"github.com/libvegas/vegas/store/memory"
)

// books are an audit with one group, and a run that went well: five records of
// two keys, all stored in one shard and delivered in order.
type books struct {
	*audit
	group  *account
	worker *worker
	got    []*vegas.Record // as they are stored
}

const theShard = "shardId-000000000000"

func newBooks() *books {
	b := &books{audit: &audit{trace: &trace{began: time.Now()}}, worker: &worker{name: "w", lease: time.Hour, parallel: 1}}
	b.group = b.account("g", false)
	b.group.beat(b.worker, time.Now())
	b.group.acquired(b.worker, theShard, vegas.Position{})
	for i := range 5 {
		s, r := b.next(fmt.Sprint("key", i%2), "p", 20, true)
		r.Shard, r.Aggregated = theShard, true
		r.Position = vegas.Position{Sequence: fmt.Sprint(10 + i/2), SubSequence: int64(i % 2)}
		b.got = append(b.got, r)
		b.ended(s, vegas.Receipt{Shard: theShard, Position: r.Position}, nil)
		b.store(s, r)
	}
	return b
}

func (b *books) store(s *sent, r *vegas.Record) {
	if s.stored == nil {
		s.stored = map[place]time.Time{}
	}
	s.stored[place{r.Shard, r.Position.Sequence, r.Position.SubSequence}] = r.ArrivalTime
}

// other is another worker, which can prove its leases.
func (b *books) other(name string) *worker {
	w := &worker{name: name, lease: time.Hour, parallel: 1}
	b.group.beat(w, time.Now())
	return w
}

// again is a copy of a stored record at another place.
func (b *books) again(i int, sequence string) *vegas.Record {
	r := *b.got[i]
	r.Position.Sequence = sequence
	return &r
}

// fails makes a record's result a failure.
func (b *books) fails(i int, o vegas.Outcome) {
	s := b.sent[i]
	s.sure = false
	s.receipt, s.err = vegas.Receipt{}, &vegas.SendError{Outcome: o, Err: errors.New("planted")}
}

// Every planted fault is found, and nothing else is.
func TestTheAuditorFindsWhatIsPlanted(t *testing.T) {
	all := func(b *books, rs ...*vegas.Record) {
		b.group.deliver(b.worker, rs...)
	}
	for _, c := range []struct {
		name, want string // empty: nothing is wrong
		do         func(b *books)
	}{
		{"a good run", "", func(b *books) { all(b, b.got...) }},
		{"a lost record", "lost: record 3", func(b *books) { all(b, b.got[0], b.got[1], b.got[2], b.got[4]) }},
		{"an inversion", "inverted: record 0 of key0 comes after 2", func(b *books) { all(b, b.got[1], b.got[2], b.got[0], b.got[3], b.got[4]) }},
		{"keys among each other have no order", "", func(b *books) { all(b, b.got[1], b.got[3], b.got[0], b.got[2], b.got[4]) }},
		{"a wrong key", "nobody sent: key \"key1\"", func(b *books) {
			b.got[0].PartitionKey = "key1"
			all(b, b.got...)
		}},
		{"a changed payload", "nobody sent: key \"key0\"", func(b *books) {
			b.got[0].Data[19]++
			all(b, b.got...)
		}},
		{"a duplicate", "duplicate: record 1", func(b *books) { all(b, append(b.got, b.got[1])...) }},
		{"a resend", "duplicate: record 1", func(b *books) { all(b, append(b.got, b.again(1, "99"))...) }},
		{"a copy without identity", "", func(b *books) {
			b.got[1].Aggregated = false
			all(b, append(b.got, b.again(1, "99"))...)
		}},
		{"a copy without identity, twice", "duplicate: record 1", func(b *books) {
			b.got[1].Aggregated = false
			all(b, append(b.got, b.again(1, "99"), b.got[1])...)
		}},
		{"copies without identity behind the checkpoint of a crash", "", func(b *books) {
			b.got[3].Aggregated = false
			all(b, append(b.got, b.again(3, "99"))...)
			b.group.killed(b.worker)
			b.group.disturbed(theShard)
			w := &worker{name: "x"}
			b.group.acquired(w, theShard, b.got[2].Position)
			b.group.deliver(w, b.got[3], b.got[4], b.again(3, "99"))
		}},
		{"a repeat behind the checkpoint of a crash", "", func(b *books) {
			all(b, b.got...)
			b.group.killed(b.worker)
			b.group.disturbed(theShard)
			w := &worker{name: "x"}
			b.group.acquired(w, theShard, b.got[2].Position)
			b.group.deliver(w, b.got[3], b.got[4])
		}},
		{"a repeat of what the checkpoint covers", "duplicate: record 2", func(b *books) {
			all(b, b.got...)
			b.group.killed(b.worker)
			b.group.disturbed(theShard)
			w := &worker{name: "x"}
			b.group.acquired(w, theShard, b.got[2].Position)
			b.group.deliver(w, b.got[2], b.got[3], b.got[4])
		}},
		{"a repeat that comes twice", "duplicate: record 3", func(b *books) {
			all(b, b.got...)
			b.group.killed(b.worker)
			b.group.disturbed(theShard)
			w := &worker{name: "x"}
			b.group.acquired(w, theShard, b.got[2].Position)
			b.group.deliver(w, b.got[3], b.got[3], b.got[4])
		}},
		{"a repeat after an orderly stop", "duplicate: record 3", func(b *books) {
			all(b, b.got...)
			w := &worker{name: "x"}
			b.group.acquired(w, theShard, b.got[2].Position)
			b.group.deliver(w, b.got[3])
		}},
		{"the dead deliver nothing", "lost: record 0", func(b *books) {
			b.group.killed(b.worker)
			all(b, b.got...)
		}},
		{"two owners", "delivers record 4 of shardId-000000000000, which x owns", func(b *books) {
			all(b, b.got[:4]...)
			b.group.acquired(&worker{name: "x"}, theShard, b.got[3].Position)
			all(b, b.got[4])
		}},
		{"two at work on one shard", "two owners: x and w handle shardId-000000000000 at once", func(b *books) {
			all(b, b.got...)
			b.group.enter(b.worker, theShard)
			b.group.enter(b.other("x"), theShard)
		}},
		{"one after the other", "", func(b *books) {
			all(b, b.got...)
			b.group.enter(b.worker, theShard)()
			b.group.enter(b.other("x"), theShard)
		}},
		{"beside one whose proof is over", "", func(b *books) {
			all(b, b.got...)
			b.group.enter(b.worker, theShard)
			b.worker.proven = time.Now()
			b.group.enter(b.other("x"), theShard)
		}},
		{"beside one that crashed", "", func(b *books) {
			all(b, b.got...)
			b.group.enter(b.worker, theShard)
			b.group.killed(b.worker)
			b.group.enter(b.other("x"), theShard)
		}},
		{"beside one that was left behind", "", func(b *books) {
			all(b, b.got...)
			b.group.enter(b.worker, theShard)
			b.worker.stopped = time.Now().Add(-time.Minute)
			b.group.enter(b.other("x"), theShard)
		}},
		{"twice in one worker", "w handles shardId-000000000000 twice at once", func(b *books) {
			all(b, b.got...)
			b.group.enter(b.worker, theShard)
			b.group.enter(b.worker, theShard)
		}},
		{"begun without proof", "w handles shardId-000000000000 without proof", func(b *books) {
			all(b, b.got...)
			b.worker.proven = time.Now()
			b.group.enter(b.worker, theShard)
		}},
		{"beside a gap", "", func(b *books) {
			all(b, b.got...)
			b.worker.parallel = 2
			b.group.fails(b.worker, b.got[2], true)
			x := b.other("x")
			b.group.acquired(x, theShard, b.got[1].Position)
			b.group.deliver(x, b.got[2:]...)
		}},
		{"a receipt that is wrong", "record 1 is not at", func(b *books) {
			all(b, b.got...)
			b.sent[1].receipt.Position.SubSequence = 7
		}},
		{"stored, and reported as not stored", "record 4 is reported as not stored", func(b *books) {
			all(b, b.got[:4]...)
			b.fails(4, vegas.NotStored)
		}},
		{"delivered, and reported as not stored", "record 4 is reported as not stored and was delivered", func(b *books) {
			all(b, b.got...)
			b.fails(4, vegas.NotStored)
			b.sent[4].stored = nil
		}},
		{"unknown and stored", "", func(b *books) {
			all(b, b.got...)
			b.fails(4, vegas.Unknown)
		}},
		{"unknown and not stored", "", func(b *books) {
			all(b, b.got[:4]...)
			b.fails(4, vegas.Unknown)
			b.sent[4].stored = nil
		}},
		{"unknown, and applied late behind a later one", "record 2 of key0, of unknown result, comes after 4", func(b *books) {
			b.fails(2, vegas.Unknown)
			all(b, b.got[0], b.got[1], b.got[3], b.got[4], b.got[2])
		}},
		{"a failure without a reason", "nothing can have made it", func(b *books) {
			all(b, b.got...)
			b.fails(4, vegas.Unknown)
			b.sent[4].sure = true
		}},
		{"no result", "record 5 of key has 0 results", func(b *books) {
			all(b, b.got...)
			b.next("key", "p", 0, true)
		}},
		{"two results", "record 4 has a second result", func(b *books) {
			all(b, b.got...)
			b.ended(b.sent[4], b.sent[4].receipt, nil)
		}},
		{"an error that is no SendError", "is no SendError", func(b *books) {
			all(b, b.got...)
			b.fails(4, vegas.Unknown)
			b.sent[4].err = errors.New("planted")
		}},
		{"before the group's start", "before the start of the group", func(b *books) {
			b.group.began(time.Now().Add(time.Hour))
			all(b, b.got[0])
		}},
		{"what is not the group's may be missing", "", func(b *books) { b.group.began(time.Now().Add(time.Hour)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBooks()
			c.do(b)
			b.close()
			switch {
			case c.want == "" && len(b.problems) > 0:
				t.Errorf("found %q", b.problems)
			case c.want != "" && !strings.Contains(strings.Join(b.problems, "\n"), c.want):
				t.Errorf("found %q, planted was %q", b.problems, c.want)
			}
		})
	}
}

// The watch over the store finds what must never be written.
func TestTheStoreIsWatched(t *testing.T) {
	const lease, marks, worker = "lease#s:a", "mark#s:a", "worker#s:w"
	saved := func(sequence string) []byte {
		tr := mark.New(keyspace.Full, 0)
		tr.Checkpointed(vegas.Position{Sequence: sequence})
		return tr.Encode()
	}
	type fields = map[string]string
	for _, c := range []struct {
		name, want string
		rows       []store.Row // written one after the other; without fields: deleted
		by         string      // who does that, one letter each; empty: all the same
	}{
		{"a good lease", "", []store.Row{
			{ID: lease, Fields: fields{"sequence": "TRIM_HORIZON", "possession": "1"}},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "2"}},
			{ID: lease, Fields: fields{"sequence": "SHARD_END", "possession": "2"}},
		}, ""},
		{"a checkpoint that goes back", "goes back from 10/3 to 10/2", []store.Row{
			{ID: lease, Fields: fields{"sequence": "10", "sub_sequence": "3", "possession": "1"}},
			{ID: lease, Fields: fields{"sequence": "10", "sub_sequence": "2", "possession": "2"}},
		}, ""},
		{"a possession that goes back", "possession of lease#s:a goes back from 2 to 1", []store.Row{
			{ID: lease, Fields: fields{"sequence": "10", "possession": "2"}},
			{ID: lease, Fields: fields{"sequence": "11", "possession": "1"}},
		}, ""},
		{"after the end", "ended and goes on", []store.Row{
			{ID: lease, Fields: fields{"sequence": "SHARD_END", "possession": "2"}},
			{ID: lease, Fields: fields{"sequence": "11", "possession": "2"}},
		}, ""},
		{"good marks", "", []store.Row{
			{ID: lease, Fields: fields{"sequence": "10", "possession": "2"}},
			{ID: marks, Body: saved("10")},
		}, ""},
		{"marks that lead", "lead the checkpoint 10/0", []store.Row{
			{ID: lease, Fields: fields{"sequence": "10", "possession": "2"}},
			{ID: marks, Body: saved("11")},
		}, ""},
		{"a worker that rises from the dead", "rises from the dead", []store.Row{
			{ID: worker, Fields: fields{"name": "w", "state": "dead"}},
			{ID: worker, Fields: fields{"name": "w", "state": "running"}},
		}, ""},
		{"a handoff", "", []store.Row{
			{ID: worker, Fields: fields{"state": "running"}},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "1", "owner": "w"}},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "2", "owner": "v"}},
		}, "www"},
		{"a new owner under an old possession", "gets a new owner under the possession 1", []store.Row{
			{ID: worker, Fields: fields{"state": "running"}},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "1", "owner": "w"}},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "1", "owner": "v"}},
		}, "www"},
		{"a lease taken from the dead", "", []store.Row{
			{ID: worker, Fields: fields{"state": "running"}},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "1", "owner": "w"}},
			{ID: worker, Fields: fields{"state": "dead"}},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "2", "owner": "v"}},
		}, "wwvv"},
		{"a lease taken from the living", "v takes lease#s:a from w, which lives", []store.Row{
			{ID: worker, Fields: fields{"state": "running"}},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "1", "owner": "w"}},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "2", "owner": "v"}},
		}, "wwv"},
		{"a heartbeat of somebody else", "v writes worker#s:w, which is w's", []store.Row{
			{ID: worker, Fields: fields{"state": "running"}},
			{ID: worker, Fields: fields{"state": "running"}},
		}, "wv"},
		{"the living buried", "v deletes worker#s:w, which is running", []store.Row{
			{ID: worker, Fields: fields{"state": "running"}},
			{ID: worker},
		}, "wv"},
		{"a row made a second time", "w makes worker#s:w a second time", []store.Row{
			{ID: worker, Fields: fields{"state": "running"}},
			{ID: worker, Fields: fields{"state": "dead"}},
			{ID: worker},
			{ID: worker, Fields: fields{"state": "running"}},
		}, "wvvw"},
		{"a possession that goes back behind a deletion", "goes back from 2 to 1", []store.Row{
			{ID: lease, Fields: fields{"sequence": "10", "possession": "2"}},
			{ID: lease},
			{ID: lease, Fields: fields{"sequence": "10", "possession": "1"}},
		}, ""},
		{"a start that changes", "the start of group#s changes", []store.Row{
			{ID: "group#s", Fields: fields{"start": "TRIM_HORIZON"}},
			{ID: "group#s", Fields: fields{"start": "AT_TIMESTAMP", "start_ms": "5"}},
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &audit{trace: &trace{began: time.Now()}}
				w := newRows(a.fail, func(time.Time) {}, a.trace, "g")
				s := memory.New()
				revisions := map[string]uint64{}
				for i, r := range c.rows {
					by := "w"
					if c.by != "" {
						by = c.by[i : i+1]
					}
					r.Group, r.Revision = "g", revisions[r.ID]
					if r.Fields == nil && r.Body == nil {
						if err := w.remove(t.Context(), s, by, r); err != nil {
							t.Fatal(err)
						}
						revisions[r.ID] = 0
						continue
					}
					out, err := w.apply(t.Context(), s, by, r)
					if err != nil {
						t.Fatal(err)
					}
					revisions[r.ID] = out.Revision
				}
				switch {
				case c.want == "" && len(a.problems) > 0:
					t.Errorf("found %q", a.problems)
				case c.want != "" && !strings.Contains(strings.Join(a.problems, "\n"), c.want):
					t.Errorf("found %q, planted was %q", a.problems, c.want)
				}
			})
		})
	}
}

// What is planted between a whole consumer and the auditor is found in a run.
func TestAFleetIsAuditedToItsEnds(t *testing.T) {
	for name, c := range map[string]struct {
		want string
		do   func(r *vegas.Record) []*vegas.Record // what becomes of one of the records
	}{
		"lost":  {"lost: record", func(*vegas.Record) []*vegas.Record { return nil }},
		"twice": {"duplicate: record", func(r *vegas.Record) []*vegas.Record { return []*vegas.Record{r, r} }},
		"changed": {"nobody sent", func(r *vegas.Record) []*vegas.Record {
			c := *r
			c.Data = append([]byte("0"), r.Data...)
			return []*vegas.Record{&c}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var r *Result
			synctest.Test(t, func(t *testing.T) {
				p := draw(1)
				p.auto, p.groups = false, p.groups[:1]
				for i := range p.producers {
					p.producers[i].aggregate = true
				}
				g := &p.groups[0]
				g.vary, g.mode, g.latest, g.after = false, records, false, 0
				r = run(t, p, dir, func(n int, r *vegas.Record) []*vegas.Record {
					if n != 20 {
						return []*vegas.Record{r}
					}
					return c.do(r)
				})
			})
			if !strings.Contains(strings.Join(r.Problems, "\n"), c.want) {
				t.Errorf("found %q, planted was %q", r.Problems, c.want)
			}
		})
	}
}
