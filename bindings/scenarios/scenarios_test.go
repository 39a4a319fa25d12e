//go:build linux

package main

import (
	"bytes"
	"os"
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
			a.result("k", "0", stored)
			a.received("g", "k", "0", 1)
			a.received("g", "k", "1", 1)
			a.received("g", "k", "1", 2)
		}, false, ""},
		{"lost", func(a *account) {
			a.result("k", "1", stored)
			a.received("g", "k", "0", 1)
		}, false, "1 of 2 records are lost"},
		{"not stored and there", func(a *account) {
			a.result("k", "0", notStored)
			a.received("g", "k", "0", 1)
		}, false, "said not to be stored"},
		{"unknown and there", func(a *account) {
			a.result("k", "0", unknown)
			a.received("g", "k", "0", 1)
		}, false, ""},
		{"out of order", func(a *account) {
			a.received("g", "k", "1", 1)
			a.received("g", "k", "0", 1)
		}, true, "record 0 of key \"k\" came behind record 1"},
		{"again", func(a *account) {
			a.received("g", "k", "0", 1)
			a.received("g", "k", "0", 1)
		}, false, "1 records arrived again"},
		{"again, and may", func(a *account) {
			a.received("g", "k", "0", 1)
			a.received("g", "k", "0", 1)
		}, true, ""},
		{"foreign", func(a *account) { a.received("g", "k", "2", 1) }, true, "nobody sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAccount()
			a.send("k", "0")
			a.send("k", "1")
			c.do(a)
			err := a.audit("g", c.again)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
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
