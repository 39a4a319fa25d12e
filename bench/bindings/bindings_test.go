//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
)

// TestMain is the program that the contest starts: its server, Go's program, the daemon.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		main()
		return
	}
	os.Exit(m.Run())
}

// Go does all of the work, and its handler behind the daemon, too.
func TestGoShort(t *testing.T) {
	if err := compete(t.Context(), []string{"-short", "-languages", "go"}); err != nil {
		t.Fatal(err)
	}
}

func TestIncompleteTurnsFail(t *testing.T) {
	r := &runner{}
	w := &contest.Work{Records: 10}
	for _, c := range []struct {
		role role
		told told
	}{
		{consume, told{Handled: 9}},
		{lines, told{Handled: 10, Twice: 1}},
		{latency, told{Micros: []float64{1}}},
	} {
		res := &result{turn: turn{role: c.role}, records: 10, told: c.told}
		if err := r.complete(res, w); err == nil {
			t.Errorf("%s, %+v: no error", c.role, c.told)
		}
	}
}

func TestGoals(t *testing.T) {
	python, k := find("python"), tasks[0]
	m := &measured{settings: &settings{rounds: 1}, languages: []*language{all[0], python}}
	add := func(l *language, as role, cpu time.Duration, seconds float64) {
		m.results = append(m.results, &result{turn: turn{l, as, k, 0}, records: 1000, cpu: cpu, told: told{Seconds: seconds}})
	}
	add(python, produce, time.Millisecond, 1)
	add(python, sdk, 5*time.Millisecond, 1)
	add(python, consume, time.Millisecond, 1)
	add(python, lines, time.Millisecond, 9)
	m.results = append(m.results, &result{turn: turn{python, idle, k, 0}, engine: 41e6}) // which is less than 40 MiB
	text := m.goals()
	for _, want := range []string{
		"resident | < 40.0 MB | 41.0 | no |",
		"beside its SDK | ≤ 0.20 | 0.20 | yes |",
		"receiving 100 B, aggregated: times the records/s behind JSON lines | ≥ 10.0 | 9.00 | no |",
		"added by the bridge, p50 | < 0.30 ms | – | not measured |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the goals lack %q:\n%s", want, text)
		}
	}
}

// What is measured takes a second, and what is compiled meanwhile is warm by then.
func TestAmountsFollowWhatWasFound(t *testing.T) {
	for _, c := range []struct {
		turn          turn
		rate          float64
		records, warm int
	}{
		{turn{find("js"), sdk, tasks[1], 1}, 20_000, 32768 * 3, 32768 * 2},
		{turn{find("ruby"), produce, tasks[1], 1}, 20_000, 32768 + 16384, 16384},
		{turn{find("java"), lines, tasks[1], 1}, 20_000, 32768, 16384},
		{turn{find("java"), consume, tasks[1], 1}, 1e9, 256 << 10, 512 << 10},
		{turn{find("go"), latency, tasks[0], 1}, 20_000, 1000, 500},
		{turn{find("java"), latency, tasks[0], 1}, 20_000, 2500, 2000},
	} {
		if records, warm := c.turn.amount(false, c.rate); records != c.records || warm != c.warm {
			t.Errorf("%s %s: %d records and %d to be warm, want %d and %d", c.turn.language.name, c.turn.role, records, warm, c.records, c.warm)
		}
	}
}

// The page has a place for what is written.
func TestPageHasSection(t *testing.T) {
	root, err := figures.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(root + "/" + figures.Page)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := figures.Insert(string(page), "bench-bindings", "text"); err != nil {
		t.Error(err)
	}
}
