package dedupe_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/libvegas/vegas/dedupe"
	"github.com/libvegas/vegas/record"
)

func TestSettingsAreChecked(t *testing.T) {
	good := map[string]any{"key": "header:id", "window": "10m", "max_keys": int64(1000), "save_every": "5s", "in_memory": true}
	if _, err := dedupe.FromSettings(good); err != nil {
		t.Error(err)
	}
	for want, wrong := range map[string]map[string]any{
		`"key": it is missing`:         {"window": "1m"},
		`"window": it is missing`:      {"key": "data"},
		"want header:NAME":             {"key": "headers:id", "window": "1m"},
		`"key": key "": want`:          {"key": int64(7), "window": "1m"},
		"10 is no duration above 0":    {"key": "data", "window": int64(10)},
		"ten minutes is no duration":   {"key": "data", "window": "ten minutes"},
		"-1m is no duration":           {"key": "data", "window": "-1m"},
		"0 is no whole number above 0": {"key": "data", "window": "1m", "max_keys": int64(0)},
		"many is no whole number":      {"key": "data", "window": "1m", "max_keys": "many"},
		"yes is neither true nor":      {"key": "data", "window": "1m", "in_memory": "yes"},
		"5 is no duration":             {"key": "data", "window": "1m", "save_every": 5.0},
		`"windows": there is no such`:  {"key": "data", "window": "1m", "windows": "1m"},
		"only in_memory, key, max_key": {"key": "data", "window": "1m", "x": nil},
	} {
		if _, err := dedupe.FromSettings(wrong); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "#dedupe-settings") {
			t.Errorf("%v: %v, want %s", wrong, err, want)
		}
	}
}

func TestSettingsMakeALayer(t *testing.T) {
	layer, err := dedupe.FromSettings(map[string]any{"key": "partition_key", "window": "10m"})
	if err != nil {
		t.Fatal(err)
	}
	handled := 0
	h := layer(func(context.Context, *record.Record) error { handled++; return nil })
	for i := range 3 {
		if err := h(t.Context(), &record.Record{PartitionKey: "a", Position: record.Position{Sequence: fmt.Sprint(i)}}); err != nil {
			t.Error(err)
		}
	}
	if handled != 1 {
		t.Errorf("handled %d times", handled)
	}
}
