package quiet

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnHourOfOneWarningIsOneLineAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := New(slog.New(slog.NewTextHandler(&out, nil)))
		for range 3600 * 4 {
			l.Warn("throttled", "shard", "shardId-000000000001")
			time.Sleep(time.Second / 4)
		}
		l.Warn("something else")
		l.Flush()
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 60+1+1 {
			t.Errorf("%d lines", len(lines))
		}
		if !strings.Contains(lines[1], "repeated=239") || strings.Contains(lines[0], "repeated") {
			t.Errorf("the first lines are\n%s\n%s", lines[0], lines[1])
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, "repeated=239") || !strings.Contains(last, "shardId") {
			t.Errorf("the last line is %s", last)
		}
	})
}
