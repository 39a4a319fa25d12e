package localkinesis

import (
	"fmt"
	"time"

	"github.com/libvegas/vegas/internal/keyspace"
)

// The methods below do at once, without the wire and whatever the stream's
// state and capacity mode, what clients ask for by CreateStream, SplitShard and
// so on.

// CreateStream makes a provisioned stream with n shards, ACTIVE at once.
func (s *Server) CreateStream(name string, n int) error {
	if !streamNameOK.MatchString(name) || n < 1 || n > 100000 {
		return fmt.Errorf("localkinesis: create stream %q with %d shards: want a name of 1 to 128 letters, digits, _ . - and at least one shard", name, n)
	}
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	now := s.clock.now()
	if _, f := s.account.find(name, now); f == nil {
		return fmt.Errorf("localkinesis: create stream %q: it exists", name)
	}
	st := s.account.add(name, n, modeProvisioned, now)
	st.hurry(now)
	return nil
}

// hurry ends a passing state now.
func (st *stream) hurry(now time.Time) {
	if !st.due.IsZero() {
		st.due = now
		st.settle(now)
	}
}

// DeleteStream removes a stream, its records and its consumers.
func (s *Server) DeleteStream(name string) error {
	return s.control("delete stream", name, func(st *stream, _ time.Time) error {
		st.remove()
		return nil
	})
}

// Split splits an open shard at a hash key, in decimal, the first of the upper
// child; "" is the middle. It gives the ids of the lower and the upper child.
func (s *Server) Split(streamName, shardID, at string) (lower, upper string, err error) {
	err = s.control("split", streamName, func(st *stream, now time.Time) error {
		sh, f := st.openShard(shardID, now)
		if f != nil {
			return f
		}
		if at == "" {
			at = sh.keys.Middle().String()
		}
		sh, h, err := st.splittable(shardID, at, now)
		if err != nil {
			return err
		}
		a, b := st.split(sh, h, now)
		lower, upper = a.id, b.id
		return nil
	})
	return lower, upper, err
}

// Merge merges two open shards side by side, in any order, and gives the
// child's id. The first named is its parent, the second its adjacent parent.
func (s *Server) Merge(streamName, shardID, adjacentID string) (child string, err error) {
	err = s.control("merge", streamName, func(st *stream, now time.Time) error {
		x, y, err := st.mergeable(shardID, adjacentID, now)
		if err != nil {
			if y, x, err = st.mergeable(adjacentID, shardID, now); err != nil {
				return err
			}
		}
		child = st.merge(x, y, now).id
		return nil
	})
	return child, err
}

// Scale splits and merges until n shards of equal size are open.
func (s *Server) Scale(streamName string, n int) error {
	return s.control("scale", streamName, func(st *stream, now time.Time) error {
		if n < 1 || n > 10000 {
			return fmt.Errorf("%d shards: want 1 to 10000", n)
		}
		st.scale(n, now)
		return nil
	})
}

// SetAuto switches the stream's record distribution strategy to AUTO (which
// makes it on-demand) or back to partition keys.
func (s *Server) SetAuto(streamName string, auto bool) error {
	return s.control("set distribution", streamName, func(st *stream, _ time.Time) error {
		st.distribution = distributionKey
		if auto {
			st.mode, st.distribution = modeOnDemand, distributionAuto
		}
		return nil
	})
}

// Put stores a record past faults and all limits but Options.MemoryBytes, and
// gives where. An empty explicit hash key routes by the partition key.
func (s *Server) Put(streamName, key, explicitHashKey string, data []byte) (Record, error) {
	var out Record
	err := s.control("put", streamName, func(st *stream, now time.Time) error {
		h, err := keyspace.Effective(key, explicitHashKey)
		if err != nil {
			return err
		}
		r := stored{key: key, keyed: true, hash: h, data: append([]byte{}, data...)}
		if f := s.account.room(r.held(), now); f != nil {
			return f
		}
		sh := st.route(h)
		sh.trim(now)
		q := sh.store(r, now)
		out = Record{sh.id, q.String(), key, h.String(), r.data, time.UnixMilli(sh.records[len(sh.records)-1].arrival)}
		return nil
	})
	return out, err
}

func (s *Server) control(what, name string, do func(*stream, time.Time) error) error {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	now := s.clock.now()
	st, f := s.account.find(name, now)
	if f != nil {
		return wrap(what, name, f)
	}
	st.hurry(now)
	if s.account.streams[name] != st {
		return wrap(what, name, fmt.Errorf("it was being deleted"))
	}
	if err := do(st, now); err != nil {
		return wrap(what, name, err)
	}
	return nil
}
