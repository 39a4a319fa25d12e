package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
	"github.com/libvegas/vegas/bench/server"
)

// turns of a contender in a task, each with its CPU time a record.
func turns(t *table, side contest.Side, name string, k *task, micros ...float64) {
	for round, us := range micros {
		t.results = append(t.results, &result{
			contender: find(side, name), task: k, round: round, records: 1000, wall: time.Second,
			cpu: time.Duration(us * 1000 * 1000), done: contest.Done{Allocated: 100_000},
		})
	}
}

func TestPage(t *testing.T) {
	s := &settings{only: regexp.MustCompile(""), rounds: 3, records: 100}
	p := &table{settings: s, tasks: tasks(s.records), noJava: errors.New("there is no JDK")}
	send := p.tasks[0]
	// Twice the floor in each round, whatever the machine does: 2.00, not what the
	// medians give.
	turns(p, contest.Produce, "wire floor, JSON", send, 0.5, 1, 4)
	turns(p, contest.Produce, "wire floor, JSON, hashes of keys cached", send, 0.25, 0.5, 2)
	turns(p, contest.Produce, "vegas", send, 1, 2, 8)
	turns(p, contest.Produce, "AWS SDK, PutRecords", send, 5, 3, 4)
	turns(p, contest.Produce, "a8m/kinesis-producer", send, 4, 4, 16)
	p.results = append(p.results, &result{contender: find(contest.Produce, "a8m/kinesis-producer"), task: send, err: errors.New("99 of 100 records are stored\nmore")})
	page := p.page()
	for _, want := range []string{
		"| **vegas** | 2.00 (1.00–8.00) | 2.00 (2.00–2.00) | 4.00 (4.00–4.00) | 100 |",
		"- a8m/kinesis-producer: a turn failed: 99 of 100 records are stored.\n",
		"Left out are the rows of Java: there is no JDK.",
		"| send 100 B, aggregated, of the wire floor | 1.10 | 2.00 (2.00–2.00) | no: [why](#sending) |",
		"of the wire floor with hashes of keys cached | 1.10 | 4.00 (4.00–4.00) | no: [why](#sending) |",
		"| send 100 B, aggregated, of a8m/kinesis-producer | 1.00 | 0.50 (0.25–0.50) | yes |",
		"| receive 1 KiB, fan-out, of the Java KCL | 0.10 | – | not measured |",
		"| send 100 B, aggregated | 0.27 | 0.33 (0.10–1.00) | no | 0.60 | 1.00 | 2.20 | 4.00 |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(page, "NaN") || t.Failed() {
		t.Log(page)
		t.Fail()
	}
}

func TestWhatIsWritten(t *testing.T) {
	for _, c := range []struct {
		failed string // who has
		want   bool
	}{{"", true}, {"a8m/kinesis-producer", true}, {"vegas", false}} {
		root := t.TempDir()
		page := filepath.Join(root, "docs", "benchmarks.md")
		if err := os.Mkdir(filepath.Dir(page), 0o700); err != nil {
			t.Fatal(err)
		}
		const before = "<!-- bench-peers: written -->\n<!-- end of bench-peers -->\n"
		for _, file := range []string{page, filepath.Join(root, quoteFile)} {
			if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := &settings{only: regexp.MustCompile(""), rounds: 1, records: 100, write: true}
		p := &table{root: root, settings: s, tasks: tasks(s.records)}
		turns(p, contest.Produce, "vegas", p.tasks[0], 1)
		if c.failed != "" {
			p.results = append(p.results, &result{contender: find(contest.Produce, c.failed), task: p.tasks[0], round: 1, err: errors.New("why")})
		}
		err := p.tell(io.Discard)
		after, readErr := os.ReadFile(page)
		if (err == nil) != c.want || readErr != nil || (string(after) != before) != c.want {
			t.Errorf("%q has failed: %v, %v, the page is\n%s", c.failed, err, readErr, after)
		}
	}
}

// What is half of a section, or nothing, is refused before anything is measured.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"", "-write writes a whole section", []string{"-write", "-only", "vegas"}},
		{"", "-write writes a whole section", []string{"-write", "-short"}},
		{"", "-only Vegas: there is no such row", []string{"-only", "Vegas"}},
		{"", "no command", []string{"latencies"}},
		{"latency", "-write writes a whole section", []string{"-write", "-short"}},
		{"idle", "-write writes a whole section", []string{"-write", "-only", "idle"}},
		{"idle", "-only bored: there is no such process", []string{"-only", "bored"}},
	} {
		if err := commands[c.name](t.Context(), c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v, want %q", c.name, c.args, err, c.want)
		}
	}
}

func TestFindingsOfARun(t *testing.T) {
	send := tasks(100)[0]
	for _, c := range []struct {
		name   string
		stored server.Stored
		want   string // "" is none
	}{
		{"vegas", server.Stored{Distinct: 100}, ""},
		{"vegas", server.Stored{Distinct: 99}, "99 of 100"},
		{"vegas", server.Stored{Distinct: 100, Twice: 1}, "1 stored twice"},
		{"vegas, durable", server.Stored{Distinct: 100, Behind: 1}, "behind a newer one"},
		{"AWS SDK, PutRecords", server.Stored{Distinct: 100, Twice: 1, Behind: 1}, ""},
		{"AWS SDK, PutRecords", server.Stored{Distinct: 100, Wrong: 1}, "none of them"},
	} {
		err := complete(&result{contender: find(contest.Produce, c.name), task: send, stored: c.stored})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s, %+v: %v, want %q", c.name, c.stored, err, c.want)
		}
	}
}

func TestWarmUp(t *testing.T) {
	for _, k := range tasks(1000) {
		for i := range contenders {
			c := &contenders[i]
			if !k.takes(c) {
				continue
			}
			w := k.work(c)
			if c.Java != "" && w.Warm < w.Records/2 {
				t.Errorf("%s, %s %s: %d of %d records to be warm, want half at least", c.Name, k.side, k.name, w.Warm, w.Records)
			}
			if 4*w.Measured() < w.Records {
				t.Errorf("%s, %s %s: %d of %d records are measured", c.Name, k.side, k.name, w.Measured(), w.Records)
			}
		}
	}
}

// Names are the first column, and how a process is told who it is.
func TestContenders(t *testing.T) {
	var names []string
	for _, c := range append(slices.Clone(contenders), alone...) {
		names = append(names, string(c.Side)+" "+c.Name)
		if (c.Run == nil) == (c.Java == "") {
			t.Errorf("%s: it has to run either in Go or in Java", c.Name)
		}
	}
	for _, c := range contenders {
		if c.Settings == "" {
			t.Errorf("%s: its settings are not written down", c.Name)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a name is there twice: %q", names)
	}
}

// The README quotes the page, as -write left it there.
func TestQuote(t *testing.T) {
	root, err := figures.Root()
	if err != nil {
		t.Fatal(err)
	}
	sectionOf := func(file string) string {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		section, err := figures.Section(string(text), pageSection)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return section
	}
	want, err := quote(sectionOf(figures.Page))
	if err != nil {
		t.Fatal(err)
	}
	if got := sectionOf(quoteFile); got != strings.TrimSpace(want) {
		t.Errorf("%s says\n%s\nand of %s comes\n%s", quoteFile, got, figures.Page, want)
	}
}

func TestQuoteOfAPage(t *testing.T) {
	s := &settings{only: regexp.MustCompile(""), rounds: 1, records: 100}
	p := &table{settings: s, tasks: tasks(s.records)}
	for _, k := range p.tasks {
		switch k.side {
		case contest.Produce:
			turns(p, k.side, "vegas", k, 1.5)
			turns(p, k.side, "wire floor, JSON", k, 0.5)
			turns(p, k.side, "KPL", k, 1234)
			turns(p, k.side, "KPL, tuned", k, 30)
		case contest.Consume:
			turns(p, k.side, "vegas, polling", k, 0.5)
			turns(p, k.side, "vegas, fan-out", k, 0.4)
			turns(p, k.side, "wire floor, JSON, polling", k, 0.25)
			turns(p, k.side, "harlow/kinesis-consumer", k, 2, 4)
			turns(p, k.side, "AWS SDK, GetRecords", k, 2.5)
		}
	}
	got, err := quote(p.page())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| send 100 B, aggregated | 1.50 | 0.50 | – | 30.0 (KPL, tuned) |\n",
		"| send 1 KiB, aggregated | 1.50 | 0.50 | – | 30.0 (KPL, tuned) |\n",
		"| receive 1 KiB | 0.50 | 0.25 | 2.50 (AWS SDK, GetRecords) | – |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if _, err := quote("### Goals\n"); err == nil {
		t.Error("of a page without figures no error")
	}
}

func TestPlan(t *testing.T) {
	s := &settings{only: regexp.MustCompile("consume 1 KiB.*(SDK|KCL)"), rounds: 2, records: 100}
	p := &table{settings: s, tasks: tasks(s.records)}
	names := func(java bool, round int) (names []string) {
		for _, next := range p.plan(java) {
			if next.round == round {
				names = append(names, next.contender.Name)
			}
		}
		return names
	}
	first, second := names(false, 0), names(false, 1)
	if len(first) != 4 || first[0] != "AWS SDK, GetRecords" || second[3] != first[0] || second[0] != first[1] {
		t.Errorf("without Java %q, then %q: want the SDK and three floors, by turns", first, second)
	}
	if all := names(true, 1); len(all) != 6 {
		t.Errorf("with Java %q, want six", all)
	}
	next := p.plan(true)[0]
	if p.results = []*result{{contender: next.contender, task: next.task, err: errors.New("other")}}; p.isLate(next) {
		t.Error("a turn that failed is taken for a late one")
	}
	p.results[0].err = fmt.Errorf("in its process: %w", errLate)
	if !p.isLate(next) || p.isLate(p.plan(true)[1]) {
		t.Error("who was late is let run again, or somebody else is not")
	}
}
