package command

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

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

// showWhile shows a line that changes, until stop: at the end of standard error on
// a terminal, elsewhere as it is every ten seconds.
func (e *env) showWhile(line func() string) (stop func()) {
	every, shown := 10*time.Second, e.showProgress()
	if shown != nil {
		every = 100 * time.Millisecond
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				if shown != nil {
					shown.clear()
				}
				return
			case <-tick.C:
			}
			if shown != nil {
				shown.paint(line())
			} else {
				e.say("%s", line())
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// gauge is a bar that is filled in part.
func gauge(share float64) string {
	const width = 30
	share = min(max(share, 0), 1)
	full := int(share * width)
	return fmt.Sprintf("%s%s %3.0f %%", strings.Repeat("━", full), strings.Repeat("─", width-full), 100*share)
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
