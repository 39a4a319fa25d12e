package simulate

import (
	"time"

	"github.com/libvegas/vegas/internal/lane"
)

// fate is what the network does to a request.
type fate uint8

const (
	fine    fate = iota
	lost         // applied, the answer is lost
	late         // no answer, applied later
	dropped      // no answer, never applied
	limited      // refused as a whole for a rate
	broken       // refused as a whole, may be tried again
	mixed        // each entry fares by itself
	denied       // refused for good, all of them
)

func (s *sender) fate() fate {
	if s.now > s.p.calm {
		return fine
	}
	if s.now < s.outage.until {
		return s.outage.fate
	}
	x := s.rnd.Float64()
	for _, f := range s.p.fates {
		if x -= f.p; x < 0 {
			return f.f
		}
	}
	return fine
}

func (s *sender) send(r *lane.Request) {
	var what []*payload
	refused := false
	if len(r.Entries) == 0 {
		s.fail("%s: a request without entries", s.name)
	}
	for _, e := range r.Entries {
		p := s.wrap(e)
		what = append(what, p)
		for _, x := range p.recs {
			refused = refused || x.poison && (x.kept == nil || s.now < x.kept.cured)
		}
		s.takeOff(e, p)
		if s.traced {
			s.trace("%s sends %s for %s %v, laned %v", s.name, names(p.recs), e.Shard, [2]int{int(p.rng.First.Hi >> 59), int(p.rng.Last.Hi >> 59)}, p.laned)
		}
	}
	f := s.fate()
	delay := s.within(s.p.latency)
	if s.now <= s.p.calm && s.chance(s.p.slow) {
		delay += s.within(5 * time.Second)
	}
	back := s.within(s.p.latency)
	if refused {
		s.after(delay+back, func() { s.failed(r, lane.Refused, errRefused) })
		return
	}
	timeout := time.Second + s.within(2*time.Second)
	switch f {
	case fine:
		s.after(delay, func() {
			res := make([]lane.Result, len(what))
			for i, p := range what {
				res[i] = s.apply(p)
			}
			s.after(back, func() { s.answered(r, res) })
		})
	case lost:
		s.after(delay, func() {
			for _, p := range what {
				if !s.chance(s.p.partly) {
					s.apply(p)
				}
			}
		})
		s.after(max(timeout, delay), func() { s.failed(r, lane.Unknown, errNet) })
	case late:
		for _, p := range what {
			s.after(timeout+s.within(s.p.lateness), func() { s.apply(p) })
		}
		s.after(timeout, func() { s.failed(r, lane.Unknown, errNet) })
	case dropped:
		s.after(timeout, func() { s.failed(r, lane.Unknown, errNet) })
	case limited:
		s.after(delay, func() { s.failed(r, lane.Throttled, errLimit) })
	case broken:
		s.after(delay, func() { s.failed(r, lane.NotStored, errServer) })
	case denied:
		s.after(delay, func() { s.failed(r, lane.Fatal, errDenied) })
	case mixed:
		s.after(delay, func() {
			res := make([]lane.Result, len(what))
			for i, p := range what {
				switch s.rnd.IntN(6) {
				case 0:
					res[i] = lane.Result{Status: lane.Throttled, Err: errLimit}
				case 1:
					res[i] = lane.Result{Status: lane.NotStored, Err: errServer}
				case 2: // an internal failure that did store
					s.apply(p)
					res[i] = lane.Result{Status: lane.Unknown, Err: errServer}
				case 3: // one that stores later
					s.after(s.within(s.p.lateness), func() { s.apply(p) })
					res[i] = lane.Result{Status: lane.Unknown, Err: errServer}
				default:
					res[i] = s.apply(p)
				}
			}
			s.after(back, func() { s.answered(r, res) })
		})
	}
}

// apply is the service taking an entry.
func (s *sender) apply(p *payload) lane.Result {
	if s.p.mutant == braggart && s.chance(.02) {
		return lane.Result{Status: lane.Stored, Shard: s.open[0].id, Sequence: "1"}
	}
	sh, st := s.put(p)
	if s.p.mutant == liar && s.chance(.1) {
		return lane.Result{Status: lane.Throttled, Err: errLimit}
	}
	if st == nil {
		if s.traced {
			s.trace("%s throttles %s of %s", sh.id, names(p.recs), s.name)
		}
		return lane.Result{Status: lane.Throttled, Err: errLimit}
	}
	if s.traced {
		s.trace("%s stores %s of %s as %d", sh.id, names(p.recs), s.name, st.seq)
	}
	return lane.Result{Status: lane.Stored, Shard: sh.id, Sequence: st.name}
}

func (s *sender) answered(r *lane.Request, res []lane.Result) {
	if s.dead {
		return
	}
	for i, e := range r.Entries {
		s.settled(e, res[i].Status)
		if s.traced {
			s.trace("%s hears %s of %s", s.name, res[i].Status, e.Shard)
		}
	}
	s.m.Answer(s.now, r, res)
	if s.chance(s.p.twice) {
		s.m.Answer(s.now, r, res)
	}
	s.poll()
}

func (s *sender) failed(r *lane.Request, st lane.Status, err error) {
	if s.dead {
		return
	}
	for _, e := range r.Entries {
		s.settled(e, st)
		if s.traced {
			s.trace("%s hears %s of %s", s.name, st, e.Shard)
		}
	}
	s.m.Fail(s.now, r, st, err)
	s.poll()
}
