package localkinesis

import "time"

// bucket is a token bucket that starts full. Taking may leave it in debt where
// the caller allows it; it then refuses until the debt is paid back.
type bucket struct {
	level float64
	at    time.Time
}

func (b *bucket) refill(now time.Time, rate, capacity float64) {
	if b.at.IsZero() {
		b.level, b.at = capacity, now
		return
	}
	if d := now.Sub(b.at); d > 0 {
		b.level, b.at = min(capacity, b.level+d.Seconds()*rate), now
	}
}

// overdraw takes n tokens, there or not. What is more than there is has to be
// paid back as a whole: nothing that was saved shortens the wait.
func (b *bucket) overdraw(n float64) {
	if b.level -= n; b.level < 0 {
		b.level = -n
	}
}

// rates are the buckets of operations, of an account or of one stream.
type rates map[string]*bucket

// take takes one call of an operation. The limits are those of the operations'
// own pages, "This operation has a limit of ...".
func (r rates) take(op *operation, now time.Time) bool {
	b := r[op.Name]
	if b == nil {
		b = &bucket{}
		r[op.Name] = b
	}
	return b.take(now, 1, op.Rate, op.Rate)
}

// take takes n tokens if they are there.
func (b *bucket) take(now time.Time, n, rate, capacity float64) bool {
	b.refill(now, rate, capacity)
	if b.level < n {
		return false
	}
	b.level -= n
	return true
}
