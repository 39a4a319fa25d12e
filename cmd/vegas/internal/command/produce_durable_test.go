package command

import (
	"bytes"
	"errors"
	"testing"

	"github.com/libvegas/vegas"
)

// What is reported covers all lines before it, in whatever order they were settled.
func TestSettledLines(t *testing.T) {
	d := durable{report: true}
	for _, step := range []struct{ settle, want int64 }{{2, 0}, {4, 0}, {1, 2}, {3, 4}, {5, 5}, {7, 5}} {
		if d.settled(step.settle); d.settledUpTo() != step.want {
			t.Errorf("%d settled: reports %d, want %d", step.settle, d.settledUpTo(), step.want)
		}
	}
	stopped := error(nil)
	d.stop = func(err error) { stopped = err }
	d.refused(6, vegas.ErrBufferFull)
	if d.settledUpTo() != 5 || !errors.Is(stopped, vegas.ErrBufferFull) {
		t.Errorf("a line that the directory did not take: reports %d, stops with %v", d.settledUpTo(), stopped)
	}
	if len(d.ahead) != 1 {
		t.Errorf("remembers %v", d.ahead)
	}
	var out bytes.Buffer
	if err := d.reportSafe(&out)(); err != nil || out.String() != "5\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
