package dedupe

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libvegas/vegas/record"
)

// FromSettings is By with its arguments by name, as programs in other languages and
// configuration files give them:
//
//	{"key": "header:id", "window": "10m", "max_keys": 200000, "save_every": "5s", "in_memory": false}
//
// key, which ParseKey reads, and window are needed. Durations are texts such as "1h30m",
// max_keys is an int64. It makes an engine's extension:
//
//	engine.Main(engine.Extension{Name: "dedupe", Consumer: dedupe.FromSettings})
func FromSettings(settings map[string]any) (func(next record.Handler) record.Handler, error) {
	var (
		key    Key
		window time.Duration
		opts   []func(*Options)
	)
	for _, name := range []string{"key", "window"} {
		if settings[name] == nil {
			return nil, bad(name, errors.New("it is missing"))
		}
	}
	for name, v := range settings {
		var err error
		switch name {
		case "key":
			text, _ := v.(string)
			key, err = ParseKey(text)
		case "window":
			window, err = duration(v)
		case "save_every":
			var every time.Duration
			every, err = duration(v)
			opts = append(opts, func(o *Options) { o.SaveEvery = every })
		case "max_keys":
			n, ok := v.(int64)
			if !ok || n < 1 {
				err = fmt.Errorf("%v is no whole number above 0", v)
			}
			opts = append(opts, func(o *Options) { o.MaxKeys = int(min(n, 1<<31)) })
		case "in_memory":
			yes, ok := v.(bool)
			if !ok {
				err = fmt.Errorf("%v is neither true nor false", v)
			}
			opts = append(opts, func(o *Options) { o.InMemory = yes })
		default:
			err = fmt.Errorf("there is no such setting, only %s", strings.Join(names, ", "))
		}
		if err != nil {
			return nil, bad(name, err)
		}
	}
	return By(key, window, opts...), nil
}

var names = slices.Sorted(slices.Values([]string{"key", "window", "max_keys", "save_every", "in_memory"}))

func bad(name string, err error) error {
	return fmt.Errorf("setting %.80q: %w (see docs/troubleshooting.md#dedupe-settings)", name, err)
}

func duration(v any) (time.Duration, error) {
	text, ok := v.(string)
	d, err := time.ParseDuration(text)
	if !ok || err != nil || d <= 0 {
		return 0, fmt.Errorf("%v is no duration above 0, such as 10m", v)
	}
	return d, nil
}
