package bridge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/dedupe"
	"github.com/libvegas/vegas/observe"
)

// Duplicates do not reach the program, whichever engine reads on, and it can see how
// many there were.
func TestDuplicatesByAKeyOfTheProgram(t *testing.T) {
	inWorld(t, "", 1, func(w *world) {
		extension := Extension{Name: "dedupe", Consumer: dedupe.FromSettings}
		options := map[string]any{"extensions": []any{map[string]any{"dedupe": map[string]any{"key": "data", "window": "10m"}}}}
		w.puts(5)
		for range 2 {
			w.put = 0
			w.puts(7)
			p := w.program(extension)
			p.consume(options)
			time.Sleep(15 * time.Second)
			got := p.handled()
			slices.Sort(got)
			stats, _ := p.call(methodStats, results{"consumer": 1})
			passed := stats["stats"].(map[string]any)[string(observe.Deduplicated)]
			switch text := strings.Join(got, " "); {
			case text == "0 1 2 3 4 5 6" && passed == int64(5), text == "" && passed == int64(7):
			default:
				t.Errorf("handled %s, passed over %v", text, passed)
			}
			if err := p.close(); err != nil {
				t.Error(err)
			}
		}
		p := w.program(extension)
		_, failed := p.call(methodOpenConsumer, results{"consumer": 1, "stream": "orders", "group": "g", "options": map[string]any{
			"extensions": []any{map[string]any{"dedupe": map[string]any{"key": "id", "window": "10m"}}},
		}})
		if failed["code"] != codeBadOption || !strings.Contains(failed["text"].(string), "want header:NAME") || !strings.HasSuffix(failed["remedy"].(string), "#dedupe-settings") {
			t.Error(failed)
		}
	})
}
