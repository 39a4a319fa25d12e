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

// crowded is a picture with more shards, workers and events than any terminal shows.
func crowded() *Picture {
	p := &Picture{
		At: 12 * time.Second, Duration: 45 * time.Second, LeaseTime: 2 * time.Second, Rate: 3012, Spark: strings.Repeat("▅", 60),
		Sent: audit.Sums{Acknowledged: 1_234_567}, Send: []time.Duration{12 * time.Millisecond, 1500 * time.Millisecond},
		Got: audit.Sums{Delivered: 1_234_000, OutOfOrder: 3, Duplicated: 7}, Repeated: 7,
	}
	for i, r := range keyspace.Split(40) {
		s := ShardPicture{Range: r, Rate: 75, Owner: "w1", Silent: time.Duration(i) * 100 * ms, Shard: localkinesis.Shard{ID: fmt.Sprintf("shardId-%012d", i), Open: i%2 == 0}}
		p.Shards = append(p.Shards, s)
		p.Events = append(p.Events, Event{At: time.Duration(i) * time.Second, Kind: Kind(i % 7), Note: i%2 == 1, Text: fmt.Sprint("event ", i)})
		p.Workers = append(p.Workers, WorkerPicture{Name: fmt.Sprint("w", i), PID: 4000 + i, State: memberState(i % 5), Shards: i, Rate: 100, Since: time.Second})
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
			for _, want := range []string{"1,234,567", "3 out of order", "0 duplicated", "7 again after kill -9", "event 39", "0:33 left", " not shown"} {
				if want == " not shown" && height > 60 {
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
	if want := "sent 1,234,567, 3,012/s, p99 1.5 s; billing handled 1,234,000; 20 open shards, 24 workers\n"; !strings.Contains(b.String(), want) {
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
	r := crowdedReport()
	r.Write(&b, terminal.Style{}, 80)
	if want := "lost" + strings.Repeat(" ", 32) + "1\n"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
	for line := range strings.Lines(b.String()) {
		if terminal.Width(strings.TrimSpace(line)) > 80 && !strings.HasPrefix(line, "1,234,567 records") {
			t.Errorf("wraps: %s", line)
		}
	}
	b.Reset()
	r.Write(&b, terminal.Style{}, 120)
	if !strings.Contains(b.String(), "     sent      acked") {
		t.Errorf("%s", b.String())
	}
}

func crowdedReport() *Report {
	return &Report{Seconds: 45, Keys: 400, Sent: 1_234_567, Acknowledged: 1_234_566, Unknown: 1, Delivered: 1_234_565, Lost: 1, Corrupt: 2, Repeated: 7,
		Incidents: []Outcome{
			{At: 3210, What: "kill -9 worker w2, which reads shards 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 11", Silent: 2345, Shard: "shardId-000000000002", Goal: 3000, Met: true, Repeated: 7},
			{At: 9870, What: "stop worker w3, which reads no shard", Silent: 700, Goal: 500},
			{At: 12345, What: "split shard 3", Silent: 300, Met: true},
		}}
}

func TestReport(t *testing.T) {
	var b bytes.Buffer
	r := crowdedReport()
	r.Write(&b, terminal.Style{}, 120)
	for _, want := range []string{
		" 3.2s  kill -9 worker w2, which reads shards 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and…           2.3 s   < 3.0 s      7\n",
		" 9.9s  stop worker w3, which reads no shard ", " 700 ms  < 500 ms      0\n",
		"12.3s  split shard 3 ", " 300 ms                0\n",
		"1,234,567 records of 400 keys in 45 s; ", "\n1 reported as unknown\n2 arrived changed or were never sent\nThe audit found faults.",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	r.Clean = true
	b.Reset()
	r.Write(&b, terminal.Style{}, 120)
	if want := "once unless its worker was killed.\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}
