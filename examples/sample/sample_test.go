package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/examples/internal/crash"
)

func TestMain(m *testing.M) {
	crash.Main(m, func(context.Context, []string) error {
		main()
		return nil
	})
}

// The program of docs/languages.md, as it stands there.
func TestSample(t *testing.T) {
	crash.Server(t, map[string]int{"stream-name": 2})
	t.Setenv("VEGAS_STORE", "file:"+t.TempDir())
	p := crash.Start(t)
	crash.Wait(t, 20*time.Second, "the message", func() bool {
		said := p.Said()
		return strings.Contains(said, "Consumer is running. Press ctrl+c to stop\n") && strings.Contains(said, "partition-key:message\n")
	})
	p.Interrupt(t)
}
