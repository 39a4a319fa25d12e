package demo

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
	"github.com/libvegas/vegas/internal/keyspace"
	"github.com/libvegas/vegas/localkinesis"
)

// crowded is a picture with more shards and events than any terminal shows.
func crowded() *Picture {
	p := &Picture{
		At: 12 * time.Second, Duration: 45 * time.Second, Rate: 3012, Spark: strings.Repeat("▅", 60),
		Sent: audit.Sums{Acknowledged: 1_234_567}, Send: []time.Duration{12 * time.Millisecond, 1500 * time.Millisecond},
		Groups: []GroupPicture{
			{Name: "billing", Way: "polling", Sums: audit.Sums{Delivered: 1_234_000, OutOfOrder: 3}},
			{Name: "search", Way: "fan-out", Sums: audit.Sums{Delivered: 1_000}, Behind: 90 * time.Second},
		},
	}
	for i, r := range keyspace.Split(40) {
		s := ShardPicture{Range: r, Rate: 75, Shard: localkinesis.Shard{ID: fmt.Sprintf("shardId-%012d", i), Open: i%2 == 0}}
		p.Shards = append(p.Shards, s)
		p.Events = append(p.Events, Event{At: time.Duration(i) * time.Second, Kind: EventKind(i % 3), Text: fmt.Sprint("event ", i)})
	}
	return p
}

func TestLiveFitsTheTerminal(t *testing.T) {
	for _, style := range []terminal.Style{{}, terminal.Coloured()} {
		l := &Live{style: style}
		for height := 16; height < 90; height++ {
			lines := l.draw(crowded(), 100, height)
			if len(lines) > height {
				t.Fatalf("%d lines for %d", len(lines), height)
			}
			text := strings.Join(lines, "\n")
			for _, want := range []string{"1,234,567", "3 out of order", "0 duplicated", "event 39", "0:33 left", "older ones not shown"} {
				if want == "older ones not shown" && height > 50 {
					continue
				}
				if !strings.Contains(text, want) {
					t.Errorf("height %d: no %q in\n%s", height, want, text)
				}
			}
		}
	}
}

func TestLinesAreFewAndPlain(t *testing.T) {
	var b bytes.Buffer
	l := NewLines(&b)
	l.Start("http://127.0.0.1:1")
	p := crowded()
	for p.At = 0; p.At < p.Duration; p.At += frameEvery {
		l.Frame(p)
	}
	l.Event(Event{At: time.Second, Text: "split shard 0 into 1 and 2"})
	l.End()
	if n := strings.Count(b.String(), "\n"); n > 15 || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%d lines:\n%s", n, b.String())
	}
	if want := "sent 1,234,567, 3,012/s, p99 1.5 s; billing 1,234,000; search 1,000; 20 open shards\n"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}

// On a narrow terminal nothing that counts is cut, and no line of the sums wraps.
func TestNarrowTerminals(t *testing.T) {
	l := &Live{}
	for _, width := range []int{60, 80} {
		text := ""
		for _, line := range l.draw(crowded(), width, 24) {
			text += terminal.Cut(line, width) + "\n"
		}
		for _, want := range []string{"0:33 left", "3 out of order", "0 duplicated", "0 changed"} {
			if !strings.Contains(text, want) {
				t.Errorf("width %d: no %q in\n%s", width, want, text)
			}
		}
	}
	var b bytes.Buffer
	r := &Report{Seconds: 45, Keys: 400, Groups: []Result{
		{Group: "billing", Reads: "polling", Sent: 1_234_567, Lost: 1}, {Group: "search", Reads: "fan-out", Sent: 1_234_567}}}
	r.Write(&b, terminal.Style{}, 80)
	if want := "lost" + strings.Repeat(" ", 34) + "1" + strings.Repeat(" ", 17) + "0\n"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
	for line := range strings.Lines(b.String()) {
		if terminal.Width(strings.TrimSpace(line)) > 80 {
			t.Errorf("wraps: %s", line)
		}
	}
	b.Reset()
	r.Write(&b, terminal.Style{}, 120)
	if !strings.Contains(b.String(), "group                   sent  acknowledged") {
		t.Errorf("%s", b.String())
	}
}

func TestReportOfFaults(t *testing.T) {
	var b bytes.Buffer
	r := &Report{Seconds: 45, Keys: 400, Splits: 1, Groups: []Result{
		{Group: "billing", Reads: "polling", Sent: 10, Acknowledged: 9, Unknown: 1, Delivered: 8, Lost: 1, Corrupt: 2}}}
	r.Write(&b, terminal.Style{}, 120)
	for _, want := range []string{"10 records of 400 keys in 45 s, through 1 split, 0 merges and 0 faults", "billing: 1 reported as unknown",
		"billing: 2 arrived changed or were never sent", "The audit found faults."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
