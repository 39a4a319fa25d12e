package progress

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/libvegas/vegas/record"
)

func at(n int) record.Position { return record.Position{Sequence: strconv.Itoa(n)} }

// A script of one letter per step: aN adds position N, bN too but its ticket is
// forgotten, dN finishes it, pN passes it, rN starts again at it.
func TestLow(t *testing.T) {
	for name, c := range map[string]struct {
		script []string
		low    record.Position
		span   int
	}{
		"nothing":                        {nil, record.Position{}, 0},
		"start":                          {[]string{"r7"}, at(7), 0},
		"outstanding":                    {[]string{"r7", "a8"}, at(7), 1},
		"in order":                       {[]string{"a1", "a2", "d1", "d2"}, at(2), 0},
		"backwards":                      {[]string{"a1", "a2", "a3", "d3", "d2"}, record.Position{}, 3},
		"backwards to the end":           {[]string{"a1", "a2", "a3", "d3", "d2", "d1"}, at(3), 0},
		"a gap holds it":                 {[]string{"a1", "a2", "a3", "a4", "d1", "d3", "d4"}, at(1), 3},
		"done twice":                     {[]string{"a1", "a2", "d2", "d2", "d1", "d1"}, at(2), 0},
		"passed with nothing open":       {[]string{"p1", "p2"}, at(2), 0},
		"passed behind an open one":      {[]string{"a1", "p2", "p3"}, record.Position{}, 1},
		"and then it is done":            {[]string{"a1", "p2", "p3", "d1"}, at(3), 0},
		"passed behind a done one":       {[]string{"a1", "a2", "d2", "p3", "d1"}, at(3), 0},
		"passed between":                 {[]string{"a1", "p2", "a3", "d1"}, at(2), 1},
		"started again":                  {[]string{"a1", "a2", "d1", "r0", "a1"}, at(0), 1},
		"tickets of before are void":     {[]string{"a1", "a2", "d1", "r1", "d2"}, at(1), 0},
		"and do not finish the new ones": {[]string{"a1", "a2", "r0", "d1", "d2", "b1", "b2"}, at(0), 2},
	} {
		t.Run(name, func(t *testing.T) {
			var w Window
			tickets := map[int]Ticket{}
			for _, step := range c.script {
				n, _ := strconv.Atoi(step[1:])
				switch step[0] {
				case 'a':
					tickets[n] = w.Add(at(n))
				case 'b':
					w.Add(at(n))
				case 'd':
					w.Done(tickets[n])
				case 'p':
					w.Pass(at(n))
				case 'r':
					w.Reset(at(n))
				}
			}
			if w.Low() != c.low || w.Span() != c.span {
				t.Errorf("low %v, %d records behind it; want %v, %d", w.Low(), w.Span(), c.low, c.span)
			}
		})
	}
}

func TestAgainstOracle(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		var w Window
		type entry struct {
			pos    record.Position
			ticket Ticket
			passed bool // without a ticket, and done from the start
			done   bool
		}
		var all []entry
		var void []Ticket
		start := record.Position{}
		ends := 0 // the last position
		for range 600 {
			switch x := r.IntN(100); {
			case x < 45:
				ends += 1 + r.IntN(3)
				all = append(all, entry{pos: at(ends), ticket: w.Add(at(ends))})
			case x < 55:
				ends += 1 + r.IntN(3)
				w.Pass(at(ends))
				all = append(all, entry{pos: at(ends), passed: true, done: true})
			case x < 99 && len(all) > 0:
				e := &all[max(0, len(all)-1-int(r.ExpFloat64()*20))] // now and then one that is done
				if e.passed {
					continue
				}
				before := w.Low()
				moved := w.Done(e.ticket)
				e.done = true
				if moved != (w.Low() != before) {
					t.Fatalf("seed %d: Done said %v, low went from %v to %v", seed, moved, before, w.Low())
				}
			case x == 99 && r.IntN(3) == 0:
				for _, e := range all {
					if !e.passed {
						void = append(void, e.ticket)
					}
				}
				start, all = at(ends), nil
				w.Reset(start)
			}
			if len(void) > 0 && w.Done(void[r.IntN(len(void))]) {
				t.Fatalf("seed %d: a void ticket moved low", seed)
			}
			low, span := start, 0
			held := false
			for _, e := range all {
				if !e.done {
					held = true
				}
				switch {
				case !held:
					low = e.pos
				case !e.passed:
					span++
				}
			}
			if w.Low() != low || w.Span() != span {
				t.Fatalf("seed %d: low %v, %d records behind it; want %v, %d", seed, w.Low(), w.Span(), low, span)
			}
		}
	}
}

func TestNoAllocationPerRecord(t *testing.T) {
	var w Window
	tickets := make([]Ticket, 500)
	positions := make([]record.Position, len(tickets))
	for i := range positions {
		positions[i] = record.Position{Sequence: fmt.Sprint(1_000_000 + i)}
	}
	round := func() {
		for i := range tickets {
			tickets[i] = w.Add(positions[i])
		}
		for i := range tickets {
			w.Done(tickets[(i*7)%len(tickets)])
		}
	}
	round()
	if n := testing.AllocsPerRun(20, round); n != 0 {
		t.Errorf("%v allocations for %d records", n, len(tickets))
	}
	if w.Span() != 0 {
		t.Errorf("span %d, want 0", w.Span())
	}
}

func BenchmarkWindow(b *testing.B) {
	var w Window
	tickets := make([]Ticket, 256)
	pos := record.Position{Sequence: "49590338271490256608559692538361571095921575989136588898"}
	b.ReportAllocs()
	for b.Loop() {
		for i := range tickets {
			pos.SubSequence = int64(i)
			tickets[i] = w.Add(pos)
		}
		for i := range tickets {
			w.Done(tickets[i^7])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(tickets)), "ns/record")
}

func TestWhole(t *testing.T) {
	var w Window
	first, second := w.Add(at(1)), w.Add(at(2))
	if !w.Whole() {
		t.Error("nothing is done, and something is not covered")
	}
	w.Done(second)
	if w.Whole() {
		t.Error("2 is done behind 1, which is not")
	}
	w.Done(first)
	if !w.Whole() {
		t.Error("all is covered")
	}
}
