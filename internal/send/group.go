package send

import "slices"

// group is a run of accepted records whose common end a Flush can wait for.
// The engine's lock guards it.
type group struct {
	open int
	done chan struct{} // closed when it is sealed and open is 0
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// seal ends the present group, so that what is accepted from now on does not
// prolong it.
func (e *Engine) seal() {
	if e.group.open > 0 {
		e.sealed = append(e.sealed, e.group)
		e.group = newGroup()
	}
}

// groupEnd counts n ended records of g.
func (e *Engine) groupEnd(g *group, n int) {
	g.open -= n
	if g.open > 0 || g == e.group {
		return
	}
	if i := slices.Index(e.sealed, g); i >= 0 {
		e.sealed = slices.Delete(e.sealed, i, i+1)
	}
	close(g.done)
}
