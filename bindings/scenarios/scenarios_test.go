//go:build linux

package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestScenariosAreWellFormed(t *testing.T) {
	s, err := readSet("../..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/languages.md")
	if err != nil {
		t.Fatal(err)
	}
	head := "| Scenario |"
	for _, l := range all {
		head += " " + l.title + " |"
	}
	if !bytes.Contains(page, []byte("\n"+head+"\n")) {
		t.Errorf("the table of docs/languages.md has not the languages %s: make test-bindings-all", head)
	}
	if bytes.Contains(page, []byte("**fails**")) {
		t.Error("the table of docs/languages.md has scenarios that fail")
	}
	short := 0
	for _, sc := range s.Scenarios {
		if !bytes.Contains(page, []byte("| "+sc.Title+" |")) {
			t.Errorf("the table of docs/languages.md lacks %q: make test-bindings-all", sc.Title)
		}
		if sc.Short {
			short++
		}
	}
	if short == 0 {
		t.Error("no scenario is short")
	}
}

func TestAccountsTellWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(a *account)
		again bool
		want  string
	}{
		{"nothing", func(a *account) {
			a.result("k", "0", stored, "")
			a.received("g", "k", "0", 1, "")
			a.received("g", "k", "1", 1, "")
			a.received("g", "k", "1", 2, "")
		}, false, ""},
		{"lost", func(a *account) {
			a.result("k", "1", stored, "")
			a.received("g", "k", "0", 1, "")
		}, false, "1 of 2 records are lost"},
		{"not stored and there", func(a *account) {
			a.result("k", "0", notStored, "")
			a.received("g", "k", "0", 1, "")
		}, false, "said not to be stored"},
		{"unknown and there", func(a *account) {
			a.result("k", "0", unknown, "")
			a.received("g", "k", "0", 1, "")
		}, false, ""},
		{"out of order", func(a *account) {
			a.received("g", "k", "1", 1, "")
			a.received("g", "k", "0", 1, "")
		}, true, "record 0 of key \"k\" came behind record 1"},
		{"again", func(a *account) {
			a.received("g", "k", "0", 1, "")
			a.received("g", "k", "0", 1, "")
		}, false, "1 records arrived again"},
		{"again, and may", func(a *account) {
			a.received("g", "k", "0", 1, "")
			a.received("g", "k", "0", 1, "")
		}, true, ""},
		{"elsewhere", func(a *account) {
			a.result("k", "0", stored, "shard 17/0")
			a.received("g", "k", "0", 1, "shard 17/1")
		}, false, "1 records lie elsewhere than their receipts say"},
		{"in its place", func(a *account) {
			a.result("k", "0", stored, "shard 17/0")
			a.received("g", "k", "0", 1, "shard 17/0")
			a.received("g", "k", "0", 2, "shard 18/0")
		}, false, ""},
		{"foreign", func(a *account) { a.received("g", "k", "2", 1, "") }, true, "nobody sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAccount()
			a.send("k", "0")
			a.send("k", "1")
			c.do(a)
			err := a.audit("g", c.again, true)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestLanguagesAreCompared(t *testing.T) {
	answer := func(code string) map[string]any {
		if code == "" {
			return map[string]any{"ok": 1.0, "failed": []any{}}
		}
		return map[string]any{"ok": 0.0, "failed": []any{map[string]any{"error": map[string]any{"code": code, "unknown": code == "engine_gone"}}}}
	}
	for _, c := range []struct {
		name  string
		codes []string // of go, python, js
		meant map[string]any
		wrong []string
	}{
		{"the same", []string{"", "", ""}, nil, nil},
		{"one succeeds", []string{"closed", "closed", ""}, nil, []string{"js"}},
		{"another code", []string{"closed", "too_large", "closed"}, nil, []string{"python"}},
		{"a language's own error", []string{"bad_option", own, own}, nil, nil},
		{"meant", []string{"", "closed", ""}, map[string]any{"python": "why"}, nil},
		{"meant, and the same", []string{"", "", ""}, map[string]any{"python": "why"}, []string{"python"}},
		{"all differ", []string{"closed", "engine_gone", ""}, nil, []string{"python", "js"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc := &scenario{Steps: []step{{"do": "many", "differs": c.meant}}}
			var cells []*cell
			for i, code := range c.codes {
				cells = append(cells, &cell{scenario: sc, language: all[i], outcomes: []string{outcomeOfStep(sc.Steps[0], answer(code))}})
			}
			compare(sc, cells)
			var wrong []string
			for _, one := range cells {
				if one.err != nil {
					wrong = append(wrong, one.language.name)
				}
			}
			if !slices.Equal(wrong, c.wrong) {
				t.Errorf("wrong in %v, want %v", wrong, c.wrong)
			}
		})
	}
}

func TestOnlyRecordsMayBeStored(t *testing.T) {
	e := map[string]any{"code": "engine_gone", "unknown": true}
	if got := outcomeOfStep(step{"do": "producer"}, map[string]any{"error": e}); got != "engine_gone" {
		t.Errorf("a producer that cannot be opened: %q", got)
	}
	sent := map[string]any{"results": []any{map[string]any{"error": e}, map[string]any{"shard": "one"}}}
	if got, want := outcomeOfStep(step{"do": "send"}, sent), "engine_gone (unknown), one"; got != want {
		t.Errorf("records: %q, want %q", got, want)
	}
}

func TestMatch(t *testing.T) {
	object := func(pairs ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i].(string)] = pairs[i+1]
		}
		return m
	}
	for _, c := range []struct {
		want, got any
		ok        bool
	}{
		{object("a", 1.0), object("a", 1.0, "b", 2.0), true},
		{object("a", 1.0), object("a", 2.0), false},
		{object("a", object("at_least", 2.0)), object("a", 2.0), true},
		{object("a", object("at_least", 2.0)), object(), false},
		{object("a", object("matches", "^x")), object("a", "xy"), true},
		{object("a", object("one_of", []any{"x", "y"})), object("a", "y"), true},
		{object("a", object("present", true)), object("a", ""), false},
		{object("a", object("present", false)), object(), true},
		{[]any{1.0}, []any{1.0, 2.0}, false},
		{object("all", 1.0), []any{1.0, 1.0}, true},
		{object("all", 1.0), []any{1.0, 2.0}, false},
		{object("all", 1.0), []any{}, false},
	} {
		if err := match("it", c.want, c.got); (err == nil) != c.ok {
			t.Errorf("match %v with %v: %v", c.want, c.got, err)
		}
	}
}

func TestAnEngineOfAnotherVersion(t *testing.T) {
	var out bytes.Buffer
	if err := play("other_version", strings.NewReader("\x02\x00\x00\x00\x01\x00"), &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "version") {
		t.Errorf("%q", out.String())
	}
}
