package lane

import "fmt"

func (m *Machine) Debug() string {
	s := fmt.Sprintf("sent=%d lone=%d parked=%d early=%d refresh=%+v", len(m.sent), m.lone, len(m.parked), m.early.n, m.refresh)
	for _, l := range append(m.lanes, m.draining...) {
		s += fmt.Sprintf("\n%s q=%d again=%d flights=%d closed=%v waits=%d held=%v trouble=%d retryAt=%v", l.shard.ID, l.q.n, len(l.again), l.flights, l.closed, len(l.waits), l.held, l.trouble, l.retryAt)
	}
	return s
}
