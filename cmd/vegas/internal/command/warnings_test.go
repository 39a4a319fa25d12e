package command

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWarningsAreToldToPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		log := slog.New(newWarnings(&out)).With("stream", "orders", "group", "billing")
		away := errors.New("list shards: nobody answers (see docs/troubleshooting.md#unreachable)")
		warn := func(shard int, more ...any) {
			log.Warn("reading fails, trying again", append([]any{"shard", shard, "error", away}, more...)...)
		}
		log.Info("nobody has to know")
		warn(1)
		warn(2)
		warn(2, "repeated", 3)
		time.Sleep(time.Minute)
		warn(1, "repeated", 99)
		log.Error("records are lost (see docs/troubleshooting.md#buffer-corrupt)", "error", fmt.Errorf("why"), "takes_nothing", away)
		const see = "  See https://github.com/libvegas/vegas/blob/main/docs/troubleshooting.md#"
		first := "warning: reading fails, trying again (group=billing, shard=1): list shards: nobody answers\n" + see + "unreachable\n"
		want := first + strings.ReplaceAll(first, "shard=1", "shard=2") + first +
			"error: records are lost (group=billing): why; list shards: nobody answers\n" + see + "buffer-corrupt\n" + see + "unreachable\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", out.String(), want)
		}
	})
}
