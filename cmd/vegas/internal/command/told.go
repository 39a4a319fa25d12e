package command

import (
	"io"
	"sync"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

// told takes the lines that say what is going on, those of the library's log as
// well, and writes them above the progress that is shown at that moment, if any.
type told struct {
	out io.Writer

	mu     sync.Mutex
	screen *terminal.Screen // nil: nothing is shown
}

func (t *told) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.screen != nil {
		return t.screen.Write(p)
	}
	return t.out.Write(p)
}

// progress shows lines that change at the end of standard error, until clear.
type progress struct{ t *told }

// showProgress is nil where standard error is no terminal.
func (e *env) showProgress() *progress {
	if !terminal.Is(e.err) {
		return nil
	}
	e.told.mu.Lock()
	defer e.told.mu.Unlock()
	e.told.screen = terminal.NewScreen(e.err)
	return &progress{e.told}
}

// paint replaces the lines.
func (p *progress) paint(lines ...string) {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.t.screen.Paint(lines)
}

// clear takes them away.
func (p *progress) clear() {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	p.t.screen.Clear()
	p.t.screen = nil
}
