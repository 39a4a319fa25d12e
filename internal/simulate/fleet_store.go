package simulate

import (
	"slices"
	"time"

	"github.com/libvegas/vegas/internal/fleet"
	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
)

// rows is the model store: rows with revisions, conditional writes, reads that
// are as of now or lag.
type rows struct {
	f       *fleetRun
	rev     uint64
	workers []*workerRow // in the order of their making
	byID    map[string]*workerRow
	leases  []*leaseRow
	byShard map[string]*leaseRow
	marks   map[string]*marksRow
	writes  [fleet.List + 1]int // that were applied, by verb
	reads   [fleet.List + 1]int // that were asked for
	other   int                 // checkpoints and marks
}

type workerRow struct {
	fleet.Worker
	rev  uint64 // 0: there is no row
	past []pastWorker
}

// pastWorker is what a row said from a moment on.
type pastWorker struct {
	since time.Duration
	there bool
	is    fleet.Worker
}

type leaseRow struct {
	fleet.Lease
	rev uint64 // 0: there is no row
}

type marksRow struct {
	body       []byte
	possession uint64
	rev        uint64
}

func newRows(f *fleetRun) *rows {
	return &rows{f: f, byID: map[string]*workerRow{}, byShard: map[string]*leaseRow{}, marks: map[string]*marksRow{}}
}

func (s *rows) worker(id string) *workerRow {
	r := s.byID[id]
	if r == nil {
		r = &workerRow{}
		s.byID[id] = r
		s.workers = append(s.workers, r)
	}
	return r
}

func (s *rows) lease(id string) *leaseRow {
	r := s.byShard[id]
	if r == nil {
		r = &leaseRow{}
		s.byShard[id] = r
		s.leases = append(s.leases, r)
	}
	return r
}

func (s *rows) mark(id string) *marksRow {
	r := s.marks[id]
	if r == nil {
		r = &marksRow{}
		s.marks[id] = r
	}
	return r
}

// putWorker writes a worker's row if it still has a revision; 0: if there is
// none.
func (s *rows) putWorker(w fleet.Worker, rev uint64, verb fleet.Verb) bool {
	r := s.worker(w.ID)
	if r.rev != rev {
		return false
	}
	if len(r.past) > 0 && (r.rev == 0 || r.State == fleet.Dead && w.State != fleet.Dead) {
		s.f.fail(resurrected, "%s of %s is written over a row that is dead or gone", verb, w.ID)
	}
	s.rev++
	w.Bell.Leases = slices.Clone(w.Bell.Leases)
	r.Worker, r.rev = w, s.rev
	if len(r.past) > 256 { // more than anybody lags
		r.past = append(r.past[:0], r.past[128:]...)
	}
	r.past = append(r.past, pastWorker{s.f.now, true, w})
	s.writes[verb]++
	if s.f.traced {
		s.f.trace("store: %s: %s is %v, beat %d, bell %d %v", verb, w.ID, w.State, w.Beat, w.Bell.Count, w.Bell.Leases)
	}
	return true
}

func (s *rows) deleteWorker(id string, rev uint64) bool {
	r := s.worker(id)
	if r.rev != rev || rev == 0 {
		return false
	}
	if r.State != fleet.Dead {
		s.f.fail(buried, "%s is deleted and not dead", id)
	}
	r.rev = 0
	r.past = append(r.past, pastWorker{s.f.now, false, fleet.Worker{}})
	s.writes[fleet.Bury]++
	if s.f.traced {
		s.f.trace("store: bury: %s is gone", id)
	}
	return true
}

// look reads the workers' rows, each as it was a while ago.
func (s *rows) look(age func() time.Duration) []fleet.Worker {
	out := make([]fleet.Worker, 0, len(s.workers))
	for _, r := range s.workers {
		if d := age(); d > 0 {
			for i := len(r.past) - 1; i >= 0; i-- {
				if p := &r.past[i]; p.since <= s.f.now-d {
					if p.there {
						out = append(out, p.is)
					}
					break
				}
			}
		} else if r.rev > 0 {
			out = append(out, r.Worker)
		}
	}
	return out
}

// putLease writes a lease's row if it still has a revision; 0: if there is none.
func (s *rows) putLease(l fleet.Lease, rev uint64, by string, verb fleet.Verb) bool {
	r := s.lease(l.ID)
	if r.rev != rev {
		return false
	}
	s.f.leaseWritten(r, &l, by, verb)
	s.rev++
	r.Lease, r.rev = l, s.rev
	s.writes[verb]++
	if s.f.traced {
		s.f.trace("store: %s by %s: %s of %q heir %q possession %d at %v", verb, by, l.ID, l.Owner, l.Heir, l.Possession, l.At)
	}
	return true
}

func (s *rows) deleteLease(id string, rev uint64) bool {
	r := s.lease(id)
	if r.rev != rev || rev == 0 {
		return false
	}
	r.rev = 0
	s.writes[fleet.Forget]++
	if s.f.traced {
		s.f.trace("store: forget: %s is gone", id)
	}
	return true
}

// checkpoint moves a lease's position if it still has a revision.
func (s *rows) checkpoint(r *life, p record.Position, rev uint64) bool {
	l := s.lease(r.t.id)
	if l.rev != rev {
		return false
	}
	s.f.checkpointed(l, r, p)
	s.rev++
	l.At, l.Start, l.rev = p, time.Time{}, s.rev
	l.Takeovers = 0
	s.other++
	if s.f.traced {
		s.f.trace("store: checkpoint of %s by %s, possession %d: %v", l.ID, r.w.id, r.possession, p)
	}
	return true
}

func (s *rows) putMarks(r *life, body []byte, rev uint64) bool {
	m := s.mark(r.t.id)
	if m.rev != rev {
		return false
	}
	saved, err := mark.Decode(body)
	l := s.lease(r.t.id)
	switch {
	case err != nil:
		s.f.fail(marksLead, "%s: %v", r.t.id, err)
	case l.rev > 0 && saved.Leads(l.At) && l.Possession == r.possession:
		s.f.fail(marksLead, "marks of %s for %v lead its checkpoint %v", r.t.id, saved.At, l.At)
	}
	s.rev++
	m.body, m.possession, m.rev = body, r.possession, s.rev
	s.other++
	if s.f.traced {
		s.f.trace("store: marks of %s by %s, possession %d", r.t.id, r.w.id, r.possession)
	}
	return true
}
