package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

func hardTimes() *OutagePicture {
	p := &OutagePicture{
		At: 15 * time.Second, Duration: 20 * time.Second, PID: 4711, Rate: 2000, GotRate: 1990, Waiting: 1234, Removed: 42,
		Sent: audit.Sums{Acknowledged: 30_000}, Got: audit.Sums{Delivered: 28_766, Duplicated: 2},
		Chart: chart{
			end: 20 * time.Second, marks: []time.Duration{5 * time.Second, 8 * time.Second},
			phases: []phase{{2 * time.Second, 6 * time.Second, "no network"}, {6 * time.Second, 6*time.Second + frameEvery, "500s"}, {7 * time.Second, 0, "throttled"}},
		},
	}
	for i := range 150 {
		p.Chart.values = append(p.Chart.values, int64(max(0, min(i-20, 150-i)))*100)
	}
	for i := range 30 {
		p.Events = append(p.Events, Event{At: time.Duration(i) * 500 * ms, Kind: Kind(i % 7), Note: i%3 == 0, Text: "event"})
	}
	return p
}

func TestChart(t *testing.T) {
	c := hardTimes().Chart
	got := "\n" + strings.Join(c.draw(terminal.Style{}, 71, 3), "\n") + "\n"
	want := `
   6,500 ┤                   ▁▃▄▅▆███▇▅▄▃▁
         ┤            ▁▂▃▅▆▇███████████████▇▆▅▄▂▁
       0 ┤      ▂▃▄▅▆█████████████████████████████▆▅▄▃▂
         └──────────── 0:05 ───────── 0:10 ───────── 0:15 ────────────
stream    ──────[no network]╳──[      throttled       ]
producer  ───────────────✗────────✗────────────────────
`
	if got != want {
		t.Errorf("got%swant%s", got, want)
	}
	if lines := (&chart{end: time.Second}).draw(terminal.Style{}, 40, 2); len(lines) != 5 {
		t.Errorf("a chart of nothing: %q", lines)
	}
}

func TestOutageFitsTheTerminal(t *testing.T) {
	for _, style := range []terminal.Style{{}, terminal.Coloured()} {
		l := &OutageLive{style: style}
		for _, width := range []int{60, 80, 110} {
			for height := 18; height < 60; height++ {
				lines := l.draw(hardTimes(), width, height)
				text := strings.Join(lines, "\n")
				if len(lines) > height {
					t.Fatalf("%d lines for %d:\n%s", len(lines), height, text)
				}
				for _, want := range []string{"0:05 left", "30,000", "2 duplicated", "0 out of order", "42 duplicates removed", "process 4711", "1,234 records", "throttled", "event"} {
					if !strings.Contains(text, want) {
						t.Fatalf("width %d, height %d: no %q in\n%s", width, height, want, text)
					}
				}
				for _, line := range lines {
					if terminal.Width(line) > width && width >= 80 {
						t.Fatalf("width %d: wraps: %s", width, line)
					}
				}
			}
		}
	}
}

func TestOutageLines(t *testing.T) {
	var b bytes.Buffer
	l := NewOutageLines(&b)
	l.Start()
	p := hardTimes()
	p.At = 0
	l.Frame(p)
	p.At = 15 * time.Second
	l.Frame(p)
	l.End()
	for _, want := range []string{
		"  0.0s  a process sends lines: ", "\n 15.0s    30,000 accepted, 28,766 delivered, 1,234 waiting\n",
		"\n\nwaiting: records accepted and not yet delivered\n   6,500 ┤",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestOutageReport(t *testing.T) {
	r := &OutageReport{Seconds: 25, Kills: 2, WaitingMax: 6500, Keys: 400, Sent: 30_100, Accepted: 30_000, Unknown: 100, Delivered: 30_050, Removed: 42, Clean: true}
	var b bytes.Buffer
	r.Write(&b, terminal.Style{}, 120)
	for _, want := range []string{
		"  30,000     30,050     0             0           0               42            6,500\n",
		"\n100 records had been given to a process that was killed before it said that they were safe\nEvery accepted record arrived, once, in the order of its key.\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	r.Clean, r.Lost, r.Corrupt = false, 1, 2
	b.Reset()
	r.Write(&b, terminal.Style{}, 40)
	if out := b.String(); !strings.Contains(out, "2 arrived changed") || !strings.HasSuffix(out, "The audit found faults.\n") {
		t.Errorf("%s", out)
	}
}
