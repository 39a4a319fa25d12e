package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// table is a model of the store.
type table struct {
	workers map[string]Worker
	leases  map[string]Lease
	highest uint64 // possession
	past    []snapshot
}

// snapshot is the workers' rows from a moment on.
type snapshot struct {
	since time.Duration
	is    map[string]Worker
}

func newTable() *table { return &table{workers: map[string]Worker{}, leases: map[string]Lease{}} }

// put writes or deletes a worker's row.
func (t *table) put(now time.Duration, w Worker, there bool) {
	if there {
		t.workers[w.ID] = w
	} else {
		delete(t.workers, w.ID)
	}
	t.past = append(t.past, snapshot{now, maps.Clone(t.workers)})
}

func (t *table) rows(at time.Duration) []Worker {
	is := map[string]Worker{}
	for _, p := range t.past {
		if p.since <= at {
			is = p.is
		}
	}
	return sortedValues(is)
}

func sortedValues[V any](m map[string]V) (out []V) {
	for _, id := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[id])
	}
	return out
}

func (t *table) show() (out []string) {
	for _, w := range sortedValues(t.workers) {
		out = append(out, fmt.Sprintf("  worker %s is %v", w.ID, w.State))
	}
	for _, l := range sortedValues(t.leases) {
		out = append(out, "  lease "+l.ID+": "+shown(l))
	}
	return out
}

func shown(l Lease) string {
	var out []string
	switch {
	case l.Ended():
		out = append(out, "ended")
	case l.Owner == "":
		out = append(out, "free")
	default:
		out = append(out, "of "+l.Owner)
	}
	if l.Heir != "" {
		out = append(out, "heir "+l.Heir)
	}
	out = append(out, fmt.Sprintf("possession %d", l.Possession))
	if l.Takeovers > 0 {
		out = append(out, fmt.Sprintf("%d takeovers", l.Takeovers))
	}
	return strings.Join(out, ", ")
}

// told is an ask in words.
func told(q *Ask) string {
	out := "its " + q.Verb.String()
	if q.Lease != "" {
		out += " of " + q.Lease
	}
	if q.To != "" && q.Verb != Take {
		out += " to " + q.To
	}
	if q.Verb == Declare || q.Verb == Bury {
		out += " of " + q.Worker.ID
	}
	return out
}

// execute does what an ask wants, as the store does.
func (s *stage) execute(a *actor, q *Ask) Answer {
	t := s.table
	switch q.Verb {
	case Join, Beat, Declare, Bury:
		return s.writeWorker(a, q)
	case Look:
		return Answer{Workers: t.rows(s.now - s.behind)}
	case LookSurely:
		return Answer{Workers: t.rows(s.now)}
	case Sweep:
		return Answer{Leases: sortedValues(t.leases)}
	case Read:
		var ans Answer
		for _, id := range q.Leases {
			if l, ok := t.leases[id]; ok {
				ans.Leases = append(ans.Leases, l)
			} else {
				ans.Gone = append(ans.Gone, id)
			}
		}
		return ans
	case List:
		return Answer{Shards: s.shards}
	}
	return s.writeLease(a, q)
}

func (s *stage) writeWorker(a *actor, q *Ask) Answer {
	t, w := s.table, q.Worker
	row, there := t.workers[w.ID]
	refused := Answer{Outcome: Refused}
	if there {
		refused.Workers = []Worker{row}
	}
	switch q.Verb {
	case Join:
		if there {
			return refused
		}
	case Beat:
		if !there || row.State == Dead {
			s.say("%s: its heartbeat is refused", a.id)
			return refused
		}
	case Declare:
		if !there || row.State == Dead || row.Beat != w.Beat {
			return refused
		}
		w = row
		w.State = Dead
		s.say("%s declares %s dead", a.id, w.ID)
	case Bury:
		if !there || row.State != Dead {
			return refused
		}
		s.say("%s buries %s", a.id, w.ID)
		t.put(s.now, w, false)
		return Answer{}
	}
	if q.Verb != Declare && (!there || row.State != w.State) {
		s.say("%s is %v", w.ID, w.State)
	}
	t.put(s.now, w, true)
	return Answer{Workers: []Worker{w}}
}

func (s *stage) writeLease(a *actor, q *Ask) Answer {
	t := s.table
	l, there := t.leases[q.Lease]
	switch {
	case q.Verb == Create && !there:
		l = Lease{Shard: q.Shard, Owner: q.To, Possession: max(q.Possession, t.highest+1)}
	case q.Verb == Create:
		return Answer{Outcome: Refused, Leases: []Lease{l}}
	case !there:
		return Answer{Outcome: Refused}
	case q.Verb == Forget:
		s.say("%s: forget %s", a.id, q.Lease)
		delete(t.leases, q.Lease)
		return Answer{}
	default:
		next, ok := q.Apply(l)
		if !ok {
			s.say("%s: %v %s is refused", a.id, q.Verb, q.Lease)
			return Answer{Outcome: Refused, Leases: []Lease{l}}
		}
		l = next
	}
	t.highest = max(t.highest, l.Possession)
	t.leases[q.Lease] = l
	s.say("%s: %v %s: %s", a.id, q.Verb, q.Lease, shown(l))
	return Answer{Leases: []Lease{l}}
}
