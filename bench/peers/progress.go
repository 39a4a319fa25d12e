package main

import (
	"fmt"
	"time"
)

// progress tells how far a command is.
type progress struct {
	began     time.Time
	done, all int // turns
}

func newProgress(turns int) *progress { return &progress{began: time.Now(), all: turns} }

// next is called after a turn, and heads what is printed of it: how long all has
// taken, and how long the rest will if its turns are like those so far.
func (p *progress) next() string {
	p.done++
	took := time.Since(p.began)
	rest := took / time.Duration(p.done) * time.Duration(p.all-p.done)
	return fmt.Sprintf("%s, %s left:", minutes(took), minutes(rest))
}

func minutes(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	return fmt.Sprintf("%2d:%02d", s/60, s%60)
}
