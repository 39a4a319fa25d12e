package lane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/internal/shardmap"
	"github.com/libvegas/vegas/internal/story"
)

// TestStories plays the scripts of testdata: what a producer's machine does,
// told step by step (see package story).
//
// The hash key space has 32 slots; a record is shown as counter@slot, a shard
// as a number.
//
//	new [linger=D] [raw] [failkey] [patient] [aggregate=N] [record=N] [requests=N]    and the first Poll, which wants the map
//	learn [ID:FROM-TO[<PARENT[,PARENT]][!]]...   a listing; ! is closed
//	learn-failed [lasting] | forget | laned true|false | flush | abort | fail-queued
//	accept SLOT[,size=N][,deadline=D][,counter=N][,producer=N]...    a deadline counts from now
//	late | end COUNTER...                         patient: who is late; they end, each with an error
//	withdraw COUNTER
//	poll [after D]                                time passes, then Poll
//	answer REQUEST RESULT...                      stored[:SHARD] (by default the right one), throttled, ...;
//	                                              the last is for all that follow
//	fail REQUEST STATUS
func TestStories(t *testing.T) { story.Play(t, func() func(string) []string { return (&stage{}).do }) }

type stage struct {
	m        *Machine
	now      time.Duration
	requests []*Request
	items    []*Item
	seq      int

	producers [3][16]byte
}

const storySlots = 32

func slot(n int) keyspace.Hash { return keyspace.Hash{Hi: uint64(n) << 59} }

func slots(from, to int) keyspace.Range {
	r := keyspace.Range{First: slot(from), Last: keyspace.Max}
	if to < storySlots-1 {
		r.Last = slot(to + 1).Prev()
	}
	return r
}

func (s *stage) do(line string) (out []string) {
	f := strings.Fields(line)
	show := func(format string, a ...any) { out = append(out, fmt.Sprintf(format, a...)) }
	num := func(x string) int {
		n, err := strconv.Atoi(x)
		if err != nil {
			panic(line + ": " + err.Error())
		}
		return n
	}
	span := func(x string) time.Duration {
		d, err := time.ParseDuration(x)
		if err != nil {
			panic(line + ": " + err.Error())
		}
		return d
	}
	switch f[0] {
	case "new":
		c := Config{Rand: rand.New(rand.NewPCG(1, 1))}
		for _, o := range f[1:] {
			k, v, _ := strings.Cut(o, "=")
			switch k {
			case "linger":
				c.Linger = span(v)
			case "raw":
				c.Raw = true
			case "failkey":
				c.FailKey = true
			case "patient":
				c.Patient = true
			case "aggregate":
				c.AggregateBytes = num(v)
			case "record":
				c.RecordBytes = num(v)
			case "requests":
				c.MaxRequests = num(v)
			default:
				panic(line)
			}
		}
		*s = stage{m: New(c)}
		s.m.Poll(0) // wants the map
	case "learn":
		var listing []shardmap.Shard
		for _, x := range f[1:] {
			x, closed := strings.CutSuffix(x, "!")
			x, parents, _ := strings.Cut(x, "<")
			id, r, _ := strings.Cut(x, ":")
			from, to, _ := strings.Cut(r, "-")
			sh := shardmap.Shard{ID: id, Range: slots(num(from), num(to)), Closed: closed}
			if parents != "" {
				sh.Parents = strings.Split(parents, ",")
			}
			listing = append(listing, sh)
		}
		c := s.m.Learn(s.now, listing)
		for _, x := range c.Closed {
			show("%s gave way", x.ID)
		}
		for _, x := range c.Opened {
			show("%s opened", x.ID)
		}
	case "learn-failed":
		s.m.LearnFailed(s.now, len(f) > 1)
	case "laned":
		s.m.SetLaned(f[1] == "true")
	case "forget":
		s.m.Forget()
	case "flush":
		s.m.Flush()
	case "abort":
		s.m.Abort(errors.New("closed"))
	case "fail-queued":
		s.m.FailQueued(errors.New("gone"))
	case "accept":
		for _, x := range f[1:] {
			p := strings.Split(x, ",")
			it := &Item{Key: "k", Hash: slot(num(p[0])), Accepted: s.now, Data: make([]byte, 10)}
			for _, o := range p[1:] {
				k, v, _ := strings.Cut(o, "=")
				switch k {
				case "size":
					it.Data = make([]byte, num(v))
				case "deadline":
					it.Deadline = s.now + span(v)
				case "counter":
					it.Counter = uint64(num(v))
				case "producer":
					it.Producer = &s.producers[num(v)]
				default:
					panic(line)
				}
			}
			if s.m.Accept(s.now, it) {
				show("poll is due")
			}
			s.items = append(s.items, it)
		}
	case "late":
		show("late: %s", recs(s.m.Late(s.now, nil)))
	case "end":
		var items []*Item
		var errs []error
		for _, x := range f[1:] {
			i := slices.IndexFunc(s.items, func(it *Item) bool { return it.Counter == uint64(num(x)) })
			items, errs = append(items, s.items[i]), append(errs, errors.New("buried"))
		}
		s.m.End(items, errs)
	case "withdraw":
		show("%v", s.m.Withdraw(s.items[num(f[1])-1]))
	case "poll":
		if len(f) > 1 {
			s.now += span(f[2])
		}
		t := s.m.Poll(s.now)
		for _, r := range t.Requests {
			s.requests = append(s.requests, r)
			show("request %d:", len(s.requests))
			for _, e := range r.Entries {
				kind := "laned"
				if e.Raw {
					kind = "raw"
				} else if !e.Laned {
					kind = "not laned"
				}
				show("  to %s, %s: %s", e.Shard, kind, recs(e.Items))
			}
		}
		if t.Refresh {
			show("wants the map")
		}
		if t.Wake != Never {
			show("wakes after %v", t.Wake-s.now)
		}
	case "answer":
		if num(f[1]) > len(s.requests) {
			panic(fmt.Sprintf("%s: there are %d requests", line, len(s.requests)))
		}
		r := s.requests[num(f[1])-1]
		var res []Result
		for i, e := range r.Entries {
			res = append(res, s.result(f[2+min(i, len(f)-3)]))
			if res[i].Shard == "" {
				res[i].Shard = e.Shard
			}
		}
		s.m.Answer(s.now, r, res)
	case "fail":
		if num(f[1]) > len(s.requests) {
			panic(fmt.Sprintf("%s: there are %d requests", line, len(s.requests)))
		}
		x := s.result(f[2])
		s.m.Fail(s.now, s.requests[num(f[1])-1], x.Status, x.Err)
	default:
		panic("no such command: " + line)
	}
	finished, _ := s.m.TakeFinished(nil)
	for _, it := range finished {
		switch {
		case it.Err == nil:
			show("%s is stored in %s at %s/%d", recs([]*Item{it}), it.Shard, it.Sequence, it.Index)
		case it.Unknown:
			show("%s is unknown after %d attempts: %v", recs([]*Item{it}), it.Attempts, it.Err)
		default:
			show("%s is not stored after %d attempts: %v", recs([]*Item{it}), it.Attempts, it.Err)
		}
	}
	return out
}

func (s *stage) result(x string) Result {
	what, shard, _ := strings.Cut(x, ":")
	for st := Unknown; st <= Fatal; st++ {
		if strings.ReplaceAll(st.String(), " ", "-") != what {
			continue
		}
		if st != Stored {
			return Result{Status: st, Err: errors.New(what)}
		}
		s.seq++
		return Result{Status: st, Shard: shard, Sequence: fmt.Sprint(s.seq)}
	}
	panic("no such status: " + x)
}

func recs(items []*Item) string {
	var b []string
	for _, it := range items {
		b = append(b, fmt.Sprintf("%d@%d", it.Counter, it.Hash.Hi>>59))
	}
	return strings.Join(b, " ")
}
