//go:build linux

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// outcomeOfStep tells what came of a step, as far as it has to be the same in all languages:
// whether it succeeded, or the code of its error; of sent records the result of each,
// of many the codes that there are; of statistics their names.
func outcomeOfStep(s step, answer map[string]any) string {
	if e, failed := answer["error"].(map[string]any); failed {
		code, _, _ := strings.Cut(codeOf(e), " ") // no record that may be stored
		return code
	}
	switch s.text("do") {
	case "send":
		results, _ := answer["results"].([]any)
		said := make([]string, len(results))
		for i, r := range results {
			m, _ := r.(map[string]any)
			e, failed := m["error"].(map[string]any)
			switch {
			case failed:
				said[i] = codeOf(e)
			case m["durable"] == true:
				said[i] = "durable"
			default:
				said[i], _ = m["shard"].(string)
			}
		}
		return strings.Join(said, ", ")
	case "many":
		codes := map[string]bool{}
		failed, _ := answer["failed"].([]any)
		for _, f := range failed {
			m, _ := f.(map[string]any)
			e, _ := m["error"].(map[string]any)
			codes[codeOf(e)] = true
		}
		if len(codes) > 0 {
			return "some: " + strings.Join(slices.Sorted(maps.Keys(codes)), ", ")
		}
	case "stats":
		stats, _ := answer["stats"].(map[string]any)
		return strings.Join(slices.Sorted(maps.Keys(stats)), ", ")
	}
	return "ok"
}

// codeOf is an error's code, and whether the record may be stored. What is wrong about
// an argument some languages tell by an error of their own.
func codeOf(e map[string]any) string {
	code, _ := e["code"].(string)
	if code == own {
		code = "bad_option"
	}
	if e["unknown"] == true {
		code += " (unknown)"
	}
	return code
}

// compareAll compares each scenario's, and says what differs.
func compareAll(s *set, cells []*cell) {
	for i := range s.Scenarios {
		sc := &s.Scenarios[i]
		var of []*cell
		for _, c := range cells {
			if c.scenario == sc && c.err == nil {
				of = append(of, c)
			}
		}
		compare(sc, of)
		for _, c := range of {
			if c.err != nil {
				fmt.Printf("FAIL %s in %s, compared: %v\n", sc.Name, c.language.title, c.err)
			}
		}
	}
}

// compare sees that what steps came to was the same in all languages in which a
// scenario was told to its end, apart from what it says is meant to differ. It fails
// those that differ from most others, or from an earlier one of as many.
func compare(sc *scenario, cells []*cell) {
	for i, s := range sc.Steps {
		meant, _ := s["differs"].(map[string]any)
		count, most := map[string]int{}, ""
		for _, c := range cells {
			if meant[c.language.name] == nil {
				count[c.outcomes[i]]++
			}
		}
		for _, c := range cells { // in the order of languages
			if count[c.outcomes[i]] > count[most] {
				most = c.outcomes[i]
			}
		}
		for _, c := range cells {
			same := c.outcomes[i] == most
			switch {
			case c.err != nil:
			case meant[c.language.name] == nil && !same:
				c.err = fmt.Errorf("step %d, %s: it came to %q, in other languages to %q", i+1, s.text("do"), c.outcomes[i], most)
			case meant[c.language.name] != nil && same && most != "":
				c.err = fmt.Errorf("step %d, %s: it came to the same as in other languages, which the scenario says that it does not", i+1, s.text("do"))
			}
		}
	}
}
