package shardmap

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/libvegas/vegas/internal/keyspace"
)

// parse reads "ID:FROM-TO<PARENT,PARENT!": a shard of a space of 16 slots, ! if
// closed.
func parse(text string) (out []Shard) {
	for x := range strings.FieldsSeq(text) {
		x, closed := strings.CutSuffix(x, "!")
		x, parents, _ := strings.Cut(x, "<")
		var s Shard
		var from, to uint64
		if _, err := fmt.Sscanf(strings.Replace(x, ":", " ", 1), "%s %d-%d", &s.ID, &from, &to); err != nil {
			panic(x + ": " + err.Error())
		}
		s.Range, s.Closed = span(from, to), closed
		if parents != "" {
			s.Parents = strings.Split(parents, ",")
		}
		out = append(out, s)
	}
	return out
}

func span(from, to uint64) keyspace.Range {
	r := keyspace.Range{First: keyspace.Hash{Hi: from << 60}, Last: keyspace.Max}
	if to < 15 {
		r.Last = keyspace.Hash{Hi: (to + 1) << 60}.Prev()
	}
	return r
}

func tiles(m *Map) string {
	var ids []string
	for _, s := range m.Tiles() {
		ids = append(ids, s.ID)
	}
	return strings.Join(ids, " ")
}

func TestLearn(t *testing.T) {
	for _, c := range []struct {
		name     string
		listings []string
		want     string
	}{
		{"open shards", []string{"0:0-7 1:8-15"}, "0 1"},
		{"a gap teaches nothing", []string{"0:0-6 1:8-15"}, ""},
		{"an overlap teaches nothing", []string{"0:0-8 1:8-15"}, ""},
		{"a short listing teaches nothing", []string{"0:0-7"}, ""},
		{"a later page from after a split", []string{"0:0-7 1:8-15 2:0-3<0 3:4-7<0"}, "2 3 1"},
		{"history within retention", []string{"0:0-15! 1:0-7<0! 2:8-15<0 3:0-3<1 4:4-7<1"}, "3 4 2"},
		{"split", []string{"0:0-15", "0:0-15! 1:0-7<0 2:8-15<0"}, "1 2"},
		{"split, only open ones listed", []string{"0:0-15", "1:0-7<0 2:8-15<0"}, "1 2"},
		{"half a split", []string{"0:0-15", "0:0-15! 1:0-7<0"}, "0"},
		{"both halves, one by one", []string{"0:0-15", "0:0-15! 1:0-7<0", "2:8-15<0"}, "1 2"},
		{"merge", []string{"0:0-7 1:8-15", "0:0-7! 1:8-15! 2:0-15<0,1"}, "2"},
		{"merge of children of different ages", []string{"0:0-7 1:8-15", "1:8-15<0! 0:0-7! 2:0-3<0 3:4-7<0! 4:4-15<3,1"}, "2 4"},
		{"split of a split at once", []string{"0:0-15", "0:0-15! 1:0-7<0! 2:8-15<0 3:0-3<1 4:4-7<1"}, "3 4 2"},
		{"a stale listing takes nothing back", []string{"0:0-15", "0:0-15! 1:0-7<0 2:8-15<0", "0:0-15"}, "1 2"},
		{"two generations missed, open ones listed", []string{"0:0-15", "3:0-3<1 4:4-7<1 2:8-15<0"}, "3 4 2"},
		{"longer away than retention", []string{"0:0-15", "7:0-3<5! 8:4-15<6 9:0-1<7 10:2-3<7"}, "9 10 8"},
		{"an old shard beside a young one", []string{"00:0-7 01:8-15", "01:8-15! 08:8-11<01! 09:12-15<01! 11:8-15<08,09! 06:0-3<03 07:4-7<03! 14:4-15<07,11"}, "06 14"},
		{"a stream made anew shows by its ranges", []string{"0:0-15", "0:0-15! 1:0-7<0 2:8-15<0", "0:0-3 1:4-15"}, "0 1"},
		{"older names do not relink", []string{"5:0-7 6:8-15", "1:0-3 2:4-7 3:8-15"}, "5 6"},
		{"what is still listed as open does not give way without its children", []string{"0:0-7 1:8-15", "0:0-7 1:8-15 5:0-3<3 6:4-7<3"}, "0 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m Map
			for _, l := range c.listings {
				m.Learn(parse(l))
			}
			if got := tiles(&m); got != c.want {
				t.Errorf("the tiles are %q, want %q", got, c.want)
			}
			if m.Ready() != (c.want != "") {
				t.Errorf("Ready is %v", m.Ready())
			}
		})
	}
}

func TestForget(t *testing.T) {
	var m Map
	m.Learn(parse("0:0-7! 1:8-15! 2:0-15<0,1"))
	m.Forget()
	if c := m.Learn(parse("0:0-7")); !c.Empty() || tiles(&m) != "2" {
		t.Errorf("a short listing: %+v, tiles %s", c, tiles(&m))
	}
	if c := m.Learn(parse("0:0-7 1:8-15")); len(c.Opened) != 2 || len(c.Closed) != 1 || tiles(&m) != "0 1" {
		t.Errorf("the listing of the new stream: %+v, tiles %s", c, tiles(&m))
	}
	if c := m.Learn(parse("0:0-7 1:8-15! 2:8-11<1 3:12-15<1")); len(c.Opened) != 2 || tiles(&m) != "0 2 3" {
		t.Errorf("a split of the new stream: %+v, tiles %s", c, tiles(&m))
	}
}

func TestChange(t *testing.T) {
	var m Map
	if c := m.Learn(parse("0:0-7 1:8-15")); len(c.Opened) != 2 || len(c.Closed) != 0 {
		t.Errorf("the first listing: %+v", c)
	}
	if c := m.Learn(parse("0:0-7 1:8-15")); !c.Empty() {
		t.Errorf("the same again: %+v", c)
	}
	c := m.Learn(parse("0:0-7! 1:8-15 2:0-3<0 3:4-7<0"))
	if len(c.Opened) != 2 || c.Opened[0].ID != "2" || len(c.Closed) != 1 || c.Closed[0].ID != "0" || !c.Closed[0].Closed {
		t.Errorf("a split: %+v", c)
	}
}

// TestForwardOnly plays random histories with stale and torn listings: the tiles
// always cover the space, never go back to an ancestor, and in the end are the
// open shards.
func TestForwardOnly(t *testing.T) {
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 4))
		h := history{r: r}
		h.add(span(0, 15))
		var m Map
		reached := map[string]int{} // by slot: how young
		for range 30 {
			h.reshard()
			if r.IntN(2) == 0 {
				m.Learn(h.list(r.IntN(len(h.at)+1), r.IntN(len(h.at)+1), r.IntN(3) == 0))
				check(t, &m, h, reached, seed)
			}
		}
		m.Learn(h.list(len(h.at), len(h.at), false))
		check(t, &m, h, reached, seed)
		for _, s := range m.Tiles() {
			if h.died[s.ID] != 0 {
				t.Errorf("seed %d: %s is still a tile", seed, s.ID)
			}
		}
		if t.Failed() {
			return
		}
	}
}

// TestWhatIsNotListedIsForgotten: a stream that is split and merged for ever does
// not fill the memory.
func TestWhatIsNotListedIsForgotten(t *testing.T) {
	h := history{r: rand.New(rand.NewPCG(1, 4))}
	h.add(span(0, 15))
	var m Map
	for range 2000 {
		h.reshard()
		listing := h.list(len(h.at), len(h.at), false)
		listing = listing[max(0, len(listing)-40):] // retention
		m.Learn(listing)
		if n := len(m.known); n > 2*40+64+16 {
			t.Fatalf("%d shards are known, 40 listed", n)
		}
	}
}

func check(t *testing.T, m *Map, h history, reached map[string]int, seed uint64) {
	t.Helper()
	if !m.Ready() {
		return
	}
	if !tilesSpace(m.Tiles()) {
		t.Fatalf("seed %d: %s do not tile the space", seed, tiles(m))
	}
	for slot := range uint64(16) {
		s := m.Tiles()[m.Find(keyspace.Hash{Hi: slot << 60})]
		if !s.Range.Has(keyspace.Hash{Hi: slot << 60}) {
			t.Fatalf("seed %d: Find is wrong", seed)
		}
		born, k := h.born[s.ID], fmt.Sprint(slot)
		if born < reached[k] {
			t.Fatalf("seed %d: slot %d went back to %s", seed, slot, s.ID)
		}
		reached[k] = born
	}
}

// history is a stream's shards with the moments of their birth and end.
type history struct {
	r          *rand.Rand
	shards     []Shard
	open       []int
	born, died map[string]int
	at         []struct{} // one for each move
}

func (h *history) add(r keyspace.Range, parents ...string) {
	if h.born == nil {
		h.born, h.died = map[string]int{}, map[string]int{}
	}
	id := fmt.Sprintf("shardId-%012d", len(h.shards))
	h.born[id] = len(h.at)
	h.open = append(h.open, len(h.shards))
	h.shards = append(h.shards, Shard{ID: id, Range: r, Parents: parents})
}

func (h *history) reshard() {
	i := h.r.IntN(len(h.open))
	a := h.shards[h.open[i]]
	if h.r.IntN(2) == 0 {
		for j, k := range h.open {
			if b := h.shards[k]; a.Range.Last != keyspace.Max && b.Range.First == a.Range.Last.Next() {
				h.at = append(h.at, struct{}{})
				h.died[a.ID], h.died[b.ID] = len(h.at), len(h.at)
				h.open = append(h.open[:max(i, j)], h.open[max(i, j)+1:]...)
				h.open = append(h.open[:min(i, j)], h.open[min(i, j)+1:]...)
				h.add(keyspace.Range{First: a.Range.First, Last: b.Range.Last}, a.ID, b.ID)
				return
			}
		}
	}
	if mid := a.Range.Middle(); mid.Lo == 0 && mid.Hi<<4 == 0 && a.Range.First.Less(mid) {
		h.at = append(h.at, struct{}{})
		h.died[a.ID] = len(h.at)
		h.open = append(h.open[:i], h.open[i+1:]...)
		h.add(keyspace.Range{First: a.Range.First, Last: mid.Prev()}, a.ID)
		h.add(keyspace.Range{First: mid, Last: a.Range.Last}, a.ID)
	}
}

// list is what a listing shows whose two pages come from two moments.
func (h *history) list(first, second int, onlyOpen bool) (out []Shard) {
	page := len(h.shards)
	if first > second {
		first, second = second, first
	}
	if first != second {
		page = h.r.IntN(len(h.shards) + 1)
	}
	for i, s := range h.shards {
		at := first
		if i >= page {
			at = second
		}
		d := h.died[s.ID]
		s.Closed = d != 0 && d <= at
		if h.born[s.ID] <= at && (!s.Closed || !onlyOpen) {
			out = append(out, s)
		}
	}
	return out
}
