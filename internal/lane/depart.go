package lane

import (
	"time"

	"github.com/libvegas/vegas/internal/limits"
)

// roll holds the lanes that may leave in one Poll.
type roll struct {
	healthy, limited, suspect []*lane
	company                   []*lane // healthy ones that could linger a little more
	groups                    []*lane // with something of a refused request
}

// depart forms the requests that may leave now.
//
// Healthy lanes leave together, and where any leaves those join whose records
// have waited at least half the linger, so that lanes fall into step instead
// of each costing its own requests. Lanes that were throttled leave with their
// like, those that were slow or unknown alone: they may hold up nobody else.
// The lone ones may use half of the requests under way, a quarter before all
// others.
func (m *Machine) depart(now time.Duration) []*Request {
	if len(m.sent) >= m.c.MaxRequests || len(m.lanes) == 0 || m.onHold {
		return nil
	}
	r := &m.ready
	r.healthy, r.limited, r.suspect = r.healthy[:0], r.limited[:0], r.suspect[:0]
	r.company, r.groups = r.company[:0], r.groups[:0]
	for i := range m.lanes {
		l := m.lanes[(i+m.turn)%len(m.lanes)]
		switch due := m.due(l, now, m.c.Linger); {
		case due == Never:
		case due > now:
			if l.trouble == healthy && m.due(l, now, m.c.Linger/2) <= now {
				r.company = append(r.company, l)
			}
		case l.group() != 0:
			r.groups = append(r.groups, l)
		case l.trouble == healthy:
			r.healthy = append(r.healthy, l)
		case l.trouble == limited:
			r.limited = append(r.limited, l)
		default:
			r.suspect = append(r.suspect, l)
		}
	}
	m.turn++
	p := packer{m: m, now: now}
	lone := p.alone(r.suspect, max(1, m.c.MaxRequests/4))
	if len(r.healthy) > 0 {
		p.together(r.healthy)
		p.together(r.company)
		p.leave()
	}
	p.together(r.limited)
	p.leave()
	p.grouped(r.groups)
	p.alone(lone, max(1, m.c.MaxRequests/2))
	return p.requests
}

// group is the group that the lane's next entry belongs to.
func (l *lane) group() int32 {
	if len(l.again) > 0 {
		return l.again[0].group
	}
	return l.q.head.group
}

// packer fills requests.
type packer struct {
	m        *Machine
	now      time.Duration
	cur      *Request
	requests []*Request
}

// room makes the current request one that takes n more bytes, if it may.
func (p *packer) room(n int) bool {
	if c := p.cur; c != nil && len(c.Entries) < limits.PutRecordsEntries && c.Bytes+n <= p.m.c.RequestBytes {
		return true
	}
	p.leave()
	if len(p.m.sent) >= p.m.c.MaxRequests {
		return false
	}
	p.cur = &Request{Left: p.now}
	p.m.sent = append(p.m.sent, p.cur)
	p.requests = append(p.requests, p.cur)
	return true
}

// leave ends the current request.
func (p *packer) leave() { p.cur = nil }

// add puts what a lane may send into the current request: one entry or, where
// records go by themselves, as many as its pace allows.
func (p *packer) add(l *lane) bool {
	group := l.group()
	for {
		if !p.room(p.m.next(l)) {
			return false
		}
		e := p.m.cut(l, p.now)
		p.cur.Entries = append(p.cur.Entries, e)
		p.cur.Bytes += e.charged
		if !p.m.c.Raw || l.q.head == nil || l.group() != group || l.pace.ready(p.now) > p.now {
			return true
		}
	}
}

func (p *packer) together(lanes []*lane) {
	for _, l := range lanes {
		if !p.add(l) {
			return
		}
	}
}

// alone sends each lane by itself while fewer than most requests of that kind
// are under way, and returns the lanes that found no room.
func (p *packer) alone(lanes []*lane, most int) []*lane {
	for i, l := range lanes {
		// Where there is room for two, one is left to the others.
		if p.m.lone >= most || len(p.m.sent)+min(1, p.m.c.MaxRequests-1) >= p.m.c.MaxRequests {
			return lanes[i:]
		}
		p.leave()
		if !p.add(l) {
			return lanes[i:]
		}
		p.cur.lone = true
		p.m.lone++
		p.leave()
	}
	return nil
}

// grouped sends the halves of refused requests, each by itself.
func (p *packer) grouped(lanes []*lane) {
	sortByGroup(lanes)
	var last int32
	for _, l := range lanes {
		if g := l.group(); g != last {
			p.leave()
			last = g
		}
		if !p.add(l) {
			return
		}
	}
	p.leave()
}
