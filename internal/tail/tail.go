// Package tail keeps the end of what is written, such as of what a process said
// before it failed.
package tail

import (
	"bytes"
	"strings"
	"sync"
)

// Tail is the end of what was written to it.
type Tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write is io.Writer's.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 4 << 10
	t.buf.Write(p)
	if over := t.buf.Len() - most; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

// String is the end, without white space around it.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(t.buf.String())
}
