//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// match tells in what got differs from what was wanted. A map wants what it names and
// allows the rest; instead of a value it may hold a condition: at_least, at_most,
// matches (a regular expression), one_of, present, all (of a list, and one at least).
func match(at string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		if condition(want) {
			return meets(at, want, got)
		}
		have, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %s: want %s", at, show(got), show(want))
		}
		for name, v := range want {
			if err := match(at+"."+name, v, have[name]); err != nil {
				if have[name] == nil {
					return fmt.Errorf("%w, in %s", err, show(got))
				}
				return err
			}
		}
		return nil
	case []any:
		have, _ := got.([]any)
		if len(have) != len(want) {
			return fmt.Errorf("%s has %d elements: want %d: %s", at, len(have), len(want), show(got))
		}
		for i, v := range want {
			if err := match(fmt.Sprintf("%s[%d]", at, i), v, have[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if want != got {
		return fmt.Errorf("%s is %s: want %s", at, show(got), show(want))
	}
	return nil
}

func condition(want map[string]any) bool {
	for name := range want {
		switch name {
		case "at_least", "at_most", "matches", "one_of", "present", "all":
			return true
		}
	}
	return false
}

func meets(at string, want map[string]any, got any) error {
	for name, v := range want {
		ok := false
		switch name {
		case "at_least", "at_most":
			limit, _ := v.(float64)
			n, is := got.(float64)
			ok = is && (name == "at_least" && n >= limit || name == "at_most" && n <= limit)
		case "matches":
			pattern, _ := v.(string)
			text, is := got.(string)
			found, err := regexp.MatchString(pattern, text)
			if err != nil {
				return err
			}
			ok = is && found
		case "one_of":
			all, _ := v.([]any)
			for _, one := range all {
				ok = ok || one == got
			}
		case "all":
			have, _ := got.([]any)
			ok = len(have) > 0
			for i, one := range have {
				if err := match(fmt.Sprintf("%s[%d]", at, i), v, one); err != nil {
					return err
				}
			}
		case "present":
			text, is := got.(string)
			ok = v == (got != nil && (!is || text != ""))
		}
		if !ok {
			return fmt.Errorf("%s is %s: want %s", at, show(got), show(want))
		}
	}
	return nil
}

func show(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 600
	if s := string(text); len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return string(text)
}
