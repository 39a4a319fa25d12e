package shardtree

import (
	"strings"
	"testing"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
	"github.com/libvegas/vegas/internal/keyspace"
)

func part(from, to float64) keyspace.Range {
	at := func(f float64) keyspace.Hash { return keyspace.Hash{Hi: uint64(f*(1<<32)) << 32} }
	r := keyspace.Range{First: at(from), Last: keyspace.Max}
	if to < 1 {
		r.Last = at(to).Prev()
	}
	return r
}

func id(n string) string { return "shardId-" + strings.Repeat("0", 12-len(n)) + n }

// history is a stream of two shards: 0 was split, its right half merged with 1.
func history() []Shard {
	return []Shard{
		{ID: id("0"), Range: part(0, 0.5), Closed: true, Note: "closed"},
		{ID: id("1"), Range: part(0.5, 1), Closed: true, Note: "closed"},
		{ID: id("2"), Parents: []string{id("0")}, Range: part(0, 0.25), Note: "open"},
		{ID: id("3"), Parents: []string{id("0")}, Range: part(0.25, 0.5), Closed: true},
		{ID: id("4"), Parents: []string{id("3"), id("1")}, Range: part(0.25, 1), Note: "open"},
	}
}

func TestDraw(t *testing.T) {
	lines, left := Draw(history(), Options{Width: 33})
	want := []string{
		"0        ░░░░░░░░          closed",
		"├─2      ████              open",
		"└─3          ░░░░",
		"  └─4←1      ████████████  open",
		"1                ░░░░░░░░  closed",
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") || left != 0 {
		t.Errorf("%d left out, got\n%s\nwant\n%s", left, got, strings.Join(want, "\n"))
	}
}

func TestRowsLeaveOutOldClosedShards(t *testing.T) {
	lines, left := Draw(history(), Options{Width: 60, Rows: 3})
	got := strings.Join(lines, "\n")
	if left != 2 || len(lines) != 3 || !strings.HasPrefix(lines[0], "2") || !strings.Contains(got, "└─4←1") {
		t.Errorf("%d left out of\n%s", left, got)
	}
}

func TestEveryBarHasTheFullWidth(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 40, 200} {
		for i, r := range keyspace.Split(n) {
			for _, closed := range []bool{false, true} {
				bar := Bar(r, 24, closed, i, terminal.Coloured())
				if terminal.Width(bar) != 24 {
					t.Errorf("shard %d of %d: %d columns: %q", i, n, terminal.Width(bar), bar)
				}
				if strings.Trim(Bar(r, 24, closed, i, terminal.Style{}), " ") == "" {
					t.Errorf("shard %d of %d cannot be seen", i, n)
				}
			}
		}
	}
}

func TestRingsAndStrangers(t *testing.T) {
	lines, _ := Draw([]Shard{
		{ID: "a", Parents: []string{"b"}, Range: keyspace.Full},
		{ID: "b", Parents: []string{"a"}, Range: keyspace.Full},
		{ID: "c", Parents: []string{"c"}, Range: keyspace.Full},
		{ID: "d", Parents: []string{"gone"}, Range: keyspace.Full},
	}, Options{Width: 40})
	if len(lines) != 4 {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
}

func TestShort(t *testing.T) {
	for in, want := range map[string]string{id("0"): "0", id("12"): "12", "shardId-": "shardId-", "shardId-x": "shardId-x", "foo": "foo"} {
		if got := Short(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
