package fleet

import (
	"cmp"
	"slices"
	"time"
)

// peer is another worker, as its row was seen.
type peer struct {
	row       Worker
	metAt     time.Duration // when it was first seen
	since     time.Duration // when this beat was first seen; later, if we were blind
	beats     int           // how often we saw that change
	beatAt    time.Duration // its last beat that we saw change did so after this
	heard     uint64        // its bell's changes that we know, or are about to read
	stoppedAt time.Duration // when it was first seen stopping
	deadAt    time.Duration // when it was first seen dead
	declaring bool
	burying   bool
	buried    bool // its row is deleted; a look may still show it
	leases    int  // what it owns, as plan counts
}

// alive: its row is there and not dead. It may have died all the same.
func (p *peer) alive() bool { return p.row.State != Dead && !p.buried }

// lives tells that it has shown life since we met it: by more heartbeats, and
// later, than may still come of a process that was killed.
func (p *peer) lives(t Timing) bool {
	return p.beats > 1 && p.beatAt >= p.silentSince(p.metAt, t)
}

// silent is when it will have been silent for its lease time.
func (p *peer) silent(t Timing) time.Duration { return p.silentSince(p.since, t) }

func (p *peer) silentSince(at time.Duration, t Timing) time.Duration {
	return at + cmp.Or(p.row.Lease, t.Lease)
}

func (m *Machine) sortedPeers() []*peer {
	out := make([]*peer, 0, len(m.peers))
	for _, p := range m.peers {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *peer) int { return cmp.Compare(a.row.ID, b.row.ID) })
	return out
}

// meet takes a worker's row from a look, which may be behind: beats only rise,
// and death is final.
func (m *Machine) meet(now time.Duration, row Worker) {
	if row.ID == m.c.ID {
		if row.State == Dead && m.step >= confirming && m.step < leaving && !m.broken(RuleResurrect) {
			m.die()
		}
		return
	}
	p := m.peers[row.ID]
	if p == nil {
		p = &peer{row: row, metAt: now, since: now}
		m.peers[row.ID] = p
		m.plan.news = true
		m.changedState(now, p)
		m.hear(now, p, 0)
		return
	}
	if p.buried || !p.alive() || row.Beat < p.row.Beat || row.Beat == p.row.Beat && row.State != Dead {
		return
	}
	m.update(now, p, row)
}

// update takes a worker's row that is newer.
func (m *Machine) update(now time.Duration, p *peer, row Worker) {
	if row.Beat != p.row.Beat {
		p.since, p.beatAt = now, m.sight.last
		p.beats++
	}
	was, heard := p.row.State, p.heard
	p.row = row
	if row.State != was {
		m.plan.news = true
		m.changedState(now, p)
	}
	m.hear(now, p, heard)
}

func (m *Machine) changedState(now time.Duration, p *peer) {
	switch p.row.State {
	case Stopping:
		p.stoppedAt = now
	case Dead:
		p.deadAt = now
		if now > m.rows.asked+m.period() {
			m.rows.sweep = true // for what it did and did not tell any more
		}
	}
}

// hear reads the leases that a worker has changed, by its bell.
func (m *Machine) hear(now time.Duration, p *peer, heard uint64) {
	bell := p.row.Bell
	if bell.Count <= heard {
		return
	}
	p.heard = bell.Count
	if news := bell.Count - heard; news <= uint64(len(bell.Leases)) {
		for _, id := range bell.Leases[uint64(len(bell.Leases))-news:] {
			if l := m.leases[id]; l != nil {
				m.doubt(now, l)
			} else {
				m.rows.want(id)
			}
		}
		return
	}
	m.rows.sweep = true
}

// runs tells that a worker takes leases and may be given some.
func (m *Machine) runs(id string) bool {
	if id == m.c.ID {
		return m.step == running && !m.stopping
	}
	p := m.peers[id]
	return p != nil && p.alive() && (p.row.State == Running || m.broken(RuleHeir))
}

// dead tells that the owner of a lease is dead, or that its row has been gone for
// the lease time: whoever deleted it may not have asked whether it lived. That a
// row is gone only a read proves which is not behind and which began after we
// learnt of the possession: before that the owner may not have joined.
func (m *Machine) dead(now time.Duration, l *entry) bool {
	owner := l.row.Owner
	p := m.peers[owner]
	switch {
	case owner == m.c.ID:
		return false
	case p != nil && p.alive():
		return m.broken(RuleOpinion) && now >= p.silent(m.c.Timing)
	case p != nil && p.row.State == Dead, m.broken(RuleGone):
		return true
	case p == nil && m.sight.sure <= l.since:
		m.sight.surely = true
		return false
	case p == nil:
		p = &peer{row: Worker{ID: owner}, buried: true, deadAt: now}
		m.peers[owner] = p
	}
	if at := p.silentSince(p.deadAt, m.c.Timing); now < at {
		m.plan.at = min(m.plan.at, at)
		return false
	}
	return true
}

// declare declares those dead whose heartbeat did not change for their lease
// time: by a look, of which this is the answer, that began when that time was
// over. Whoever was paused itself in between has to look again, too.
func (m *Machine) declare(now, looked time.Duration) {
	m.sight.silent = never
	if m.step == making || m.step >= leaving || m.step >= confirming && now >= m.until || m.broken(RuleOpinion) {
		return
	}
	for _, p := range m.sortedPeers() {
		if !p.alive() || p.declaring {
			continue
		}
		at := p.silent(m.c.Timing)
		if looked < at {
			m.sight.silent = min(m.sight.silent, at)
			continue
		}
		p.declaring = true
		m.ask(now, &Ask{Verb: Declare, Worker: p.row})
	}
}

func (m *Machine) declared(now time.Duration, a *Ask, ans Answer) {
	p := m.peers[a.Worker.ID]
	if p == nil {
		return
	}
	p.declaring = false
	if !p.alive() || ans.Outcome == Unknown {
		return
	}
	if ans.Outcome == Done {
		row := p.row
		row.State = Dead
		m.update(now, p, row)
		m.count()
		m.sight.soon = m.step < running // we may have waited for that
		return
	}
	m.sight.surely = true // its row is gone, unless the answer has it
	for _, row := range ans.Workers {
		if row.ID == p.row.ID {
			m.update(now, p, row) // also where its beat is lower: this was not behind
			m.sight.surely = false
		}
	}
	m.count()
}

// bury deletes dead rows that mean nothing any more: everybody has seen them,
// and no lease names them. One of the workers does it.
func (m *Machine) bury(now time.Duration) {
	if m.step != running || m.stopping {
		return
	}
	var named map[string]bool
	for _, p := range m.sortedPeers() {
		due := p.deadAt + m.c.Timing.Lease
		switch {
		case p.alive():
			continue
		case p.buried:
			if now >= due+time.Minute {
				delete(m.peers, p.row.ID)
			}
			continue
		case now < due || p.burying || m.rows.since <= p.deadAt:
			continue
		}
		if named == nil {
			named = map[string]bool{}
			for _, l := range m.all {
				if l.there {
					named[l.row.Owner], named[l.row.Heir] = true, true
				}
			}
		}
		if !named[p.row.ID] && m.first() {
			p.burying = true
			m.ask(now, &Ask{Verb: Bury, Worker: p.row})
		}
	}
}

func (m *Machine) buried(now time.Duration, a *Ask, ans Answer) {
	if p := m.peers[a.Worker.ID]; p != nil {
		p.burying = false
		if ans.Outcome != Unknown {
			p.buried, p.deadAt = true, now
		}
	}
}
