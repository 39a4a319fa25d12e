package send

import "slices"

// room is the memory bound: bytes that accepted records may hold. Those who
// wait for it are served in the order in which they came, so that large
// records are not starved by small ones. The engine's lock guards it.
type room struct {
	free, size int64
	queue      []*claim
}

// claim is somebody's wait for room.
type claim struct {
	bytes   int64
	granted chan struct{} // closed when the bytes are taken, or the claim is void
	void    bool          // closed without room: the engine is closing
}

// take takes the bytes if they are there and nobody waits for some. A record
// larger than the whole bound has to be alone.
func (r *room) take(bytes int64) bool {
	if len(r.queue) > 0 || !r.fits(bytes) {
		return false
	}
	r.free -= bytes
	return true
}

func (r *room) fits(bytes int64) bool { return bytes <= r.free || r.free == r.size }

// line up at the end of the queue.
func (r *room) lineUp(bytes int64) *claim {
	c := &claim{bytes: bytes, granted: make(chan struct{})}
	r.queue = append(r.queue, c)
	return c
}

// give brings bytes back and serves those who wait.
func (r *room) give(bytes int64) {
	r.free += bytes
	n := 0
	for _, c := range r.queue {
		if !r.fits(c.bytes) {
			break
		}
		r.free -= c.bytes
		close(c.granted)
		n++
	}
	r.queue = slices.Delete(r.queue, 0, n)
}

// leave gives a claim up, and its bytes if it was granted meanwhile.
func (r *room) leave(c *claim) {
	if i := slices.Index(r.queue, c); i >= 0 {
		r.queue = slices.Delete(r.queue, i, i+1)
		r.give(0) // the next one may fit
	} else if !c.void {
		r.give(c.bytes)
	}
}

// dismiss voids all claims.
func (r *room) dismiss() {
	for _, c := range r.queue {
		c.void = true
		close(c.granted)
	}
	r.queue = nil
}
