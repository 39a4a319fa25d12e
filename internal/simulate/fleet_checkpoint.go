package simulate

import (
	"time"

	"github.com/libvegas/vegas/internal/mark"
	"github.com/libvegas/vegas/record"
)

// settle writes a position and the marks of it for sure, unless the lease is
// lost.
func (r *life) settle(p record.Position, then func()) {
	r.write(p, true, func(ok bool) {
		switch {
		case r.phase != settling:
		case ok:
			then()
		default:
			r.f.after(r.f.within(50*time.Millisecond), func() {
				r.w.local(func() {
					if r.phase != settling {
						return
					}
					if !r.w.valid() {
						r.lose("not proven any more")
						return
					}
					r.settle(p, then)
				})
			})
		}
	})
}

// write stores a checkpoint, and afterwards the marks where they are due. Never
// the other way round. One write at a time.
func (r *life) write(p record.Position, last bool, then func(ok bool)) {
	if r.writing {
		then(false)
		return
	}
	r.writing = true
	done := func(ok bool) {
		r.writing = false
		then(ok)
	}
	save := func() {
		r.saveMarks(last, done)
	}
	if p.IsStart() || p.Compare(r.at) <= 0 {
		save()
		return
	}
	put := func() {
		r.putCheckpoint(p, func(ok bool) {
			if !ok {
				done(false)
				return
			}
			r.at = p
			r.marks.Checkpointed(p)
			save()
		})
	}
	if !r.known && r.marks.Producers() > 0 {
		at := r.at
		r.putMarks(r.encode(p), func(ok bool) {
			if !ok {
				done(false)
				return
			}
			r.savedAt, r.known = at, true
			put()
		})
		return
	}
	put()
}

func (r *life) encode(p record.Position) []byte {
	if r.f.p.mutant == leading {
		r.marks.Checkpointed(p) // as of what is going to be checkpointed
	}
	return r.marks.Encode()
}

func (r *life) saveMarks(last bool, then func(ok bool)) {
	newer := r.at.Compare(r.savedAt) > 0
	if r.lags || r.marks.Producers() == 0 || !(newer && r.f.chance(.3) || last && (newer || !r.known)) {
		then(true)
		return
	}
	at := r.at
	r.putMarks(r.marks.Encode(), func(ok bool) {
		if ok {
			r.savedAt, r.known = at, true
		}
		then(ok)
	})
}

// putCheckpoint is read, modify, compare-and-swap, on condition of the
// possession. ok: it was written.
func (r *life) putCheckpoint(p record.Position, then func(ok bool)) {
	f, w, s := r.f, r.w, r.f.store
	if f.p.atomic {
		applied, lost := false, false
		w.request(f.p.opLimit, func() {
			l := s.lease(r.t.id)
			if lost = l.rev == 0 || l.Possession != r.possession && f.p.mutant != unfenced; !lost {
				applied = l.At.Compare(p) >= 0 || s.checkpoint(r, p, l.rev)
			}
		}, func(answered bool) { r.wrote(answered && applied, answered && lost, then) })
		return
	}
	var get func()
	swap := func() {
		if p.Compare(r.row.At) <= 0 {
			then(true) // an earlier write was applied after all
			return
		}
		applied := false
		rev := r.row.rev
		var now leaseRow
		w.request(f.p.opLimit, func() { applied, now = s.checkpoint(r, p, rev), *s.lease(r.t.id) }, func(answered bool) {
			switch {
			case r.phase >= cutOff:
			case answered && applied:
				r.row = now
				then(true)
			default:
				get()
			}
		})
	}
	get = func() {
		var l leaseRow
		w.request(f.p.opLimit, func() { l = *s.lease(r.t.id) }, func(answered bool) {
			switch {
			case r.phase >= cutOff:
				return
			case !answered:
				then(false)
				return
			case l.rev > 0 && f.chance(.5):
				w.m.Seen(w.clock(), l.Lease)
				w.poll()
				if r.phase >= cutOff {
					return
				}
			}
			if l.rev == 0 || l.Possession != r.possession && f.p.mutant != unfenced {
				r.wrote(false, true, then)
				return
			}
			r.row = l
			swap()
		})
	}
	if r.row.rev == 0 {
		get()
		return
	}
	swap()
}

// wrote takes in what became of an atomic write.
func (r *life) wrote(applied, lost bool, then func(ok bool)) {
	switch {
	case r.phase >= cutOff:
	case lost:
		r.lose("another possession")
	default:
		then(applied)
	}
}

// putMarks writes the marks' row: it belongs to whoever possesses the lease,
// whatever number an earlier possession left there.
func (r *life) putMarks(body []byte, then func(ok bool)) {
	f, w, s := r.f, r.w, r.f.store
	applied := false
	rev := r.marksRow.rev
	var now marksRow
	w.request(f.p.opLimit, func() { applied, now = s.putMarks(r, body, rev), *s.mark(r.t.id) }, func(answered bool) {
		switch {
		case r.phase >= cutOff:
		case answered && applied:
			r.marksRow = now
			then(true)
		default:
			var m marksRow
			w.request(f.p.opLimit, func() { m = *s.mark(r.t.id) }, func(answered bool) {
				switch {
				case r.phase >= cutOff:
				case answered && m.rev > 0 && m.possession > r.possession:
					r.lose("marks of another possession")
				case answered:
					r.marksRow = m
					then(m.rev > 0 && m.possession == r.possession && sameMarks(m.body, body))
				default:
					then(false)
				}
			})
		}
	})
}

func sameMarks(a, b []byte) bool {
	x, err := mark.Decode(a)
	y, err2 := mark.Decode(b)
	return err == nil && err2 == nil && x.At == y.At && string(a) == string(b)
}
