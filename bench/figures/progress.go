package figures

import (
	"fmt"
	"time"
)

// Progress tells how far a command is.
type Progress struct {
	All int // turns

	began time.Time
	done  int
}

// NewProgress of that many turns.
func NewProgress(turns int) *Progress { return &Progress{began: time.Now(), All: turns} }

// Next is called after a turn, and heads what is printed of it: how long all has
// taken, and how long the rest will if its turns are like those so far.
func (p *Progress) Next() string {
	p.done++
	took := time.Since(p.began)
	rest := took / time.Duration(p.done) * time.Duration(p.All-p.done)
	return fmt.Sprintf("%s, %s left:", minutes(took), minutes(rest))
}

func minutes(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	return fmt.Sprintf("%2d:%02d", s/60, s%60)
}
