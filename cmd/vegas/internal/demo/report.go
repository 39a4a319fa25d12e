package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/audit"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

// Report is what a demo ends with.
type Report struct {
	Seconds float64  `json:"seconds"`
	Keys    int64    `json:"keys"`
	Splits  int      `json:"splits"`
	Merges  int      `json:"merges"`
	Faults  int      `json:"faults"`
	Send    Latency  `json:"send_latency"`
	Groups  []Result `json:"groups"`
	Clean   bool     `json:"clean"`
}

// Latency in milliseconds.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// Result is the audit of one consumer group.
type Result struct {
	Group         string  `json:"group"`
	Reads         string  `json:"reads_by"`
	Sent          int64   `json:"sent"`
	Acknowledged  int64   `json:"acknowledged"`
	NotStored     int64   `json:"not_stored"`
	Unknown       int64   `json:"unknown"`
	Delivered     int64   `json:"delivered"`
	Lost          int64   `json:"lost"`
	OutOfOrder    int64   `json:"out_of_order"`
	Duplicated    int64   `json:"duplicated"`
	Corrupt       int64   `json:"corrupt"`
	Unanswered    int64   `json:"unanswered"`
	AnsweredTwice int64   `json:"answered_twice"`
	Ghosts        int64   `json:"reported_not_stored_but_delivered"`
	EndToEnd      Latency `json:"end_to_end"`
	clean         bool
}

func (w *world) report() *Report {
	r := &Report{Seconds: w.now().Seconds(), Splits: w.splits, Merges: w.merges, Send: latency(&w.traffic.send), Clean: true}
	for _, f := range w.faults {
		r.Faults += f.Fired()
	}
	for _, reader := range w.readers {
		s := reader.audit.Sums()
		r.Keys = s.Keys
		res := result(s)
		res.Group, res.Reads, res.EndToEnd = reader.name, reader.way, latency(&reader.delay)
		r.Groups = append(r.Groups, res)
		// A demo that moved nothing proves nothing.
		r.Clean = r.Clean && res.clean && res.Delivered > 0
	}
	return r
}

func result(s audit.Sums) Result {
	return Result{Sent: s.Sent, Acknowledged: s.Acknowledged, NotStored: s.NotStored, Unknown: s.Unknown,
		Delivered: s.Delivered, Lost: s.Lost, OutOfOrder: s.OutOfOrder, Duplicated: s.Duplicated, Corrupt: s.Corrupt,
		Unanswered: s.Unanswered, AnsweredTwice: s.AnsweredTwice, Ghosts: s.Ghosts, clean: s.Clean()}
}

func latency(h *histogram) Latency {
	p := h.percentiles(-1, 50, 99, 100)
	if p == nil {
		return Latency{}
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{ms(p[0]), ms(p[1]), ms(p[2])}
}

// Write prints the sums for people, on lines of that width where it can.
func (r *Report) Write(w io.Writer, style terminal.Style, width int) {
	moved := fmt.Sprintf("%s in %.0f s,", style.Bold(count(r.sent())+" records of "+count(r.Keys)+" keys"), r.Seconds)
	through := fmt.Sprintf("through %s, %s and %s by the server.", plural(r.Splits, "split"), plural(r.Merges, "merge"), plural(r.Faults, "fault"))
	gap := " "
	if terminal.Width(moved)+1+len(through) > width {
		gap = "\n"
	}
	fmt.Fprintf(w, "%s%s%s\n\n", moved, gap, through)
	// A sum that should be 0 is good or bad, all others are as they are.
	verdict := func(n int64) string {
		if n == 0 {
			return style.Good("0")
		}
		return style.Bad(count(n))
	}
	rows := [][]string{{"group", "sent", "acknowledged", "delivered", "lost", "out of order", "duplicated", "end to end p50 / p99"}}
	for _, g := range r.Groups {
		rows = append(rows, []string{g.Group + " (" + g.Reads + ")", count(g.Sent), count(g.Acknowledged), count(g.Delivered),
			verdict(g.Lost), verdict(g.OutOfOrder), verdict(g.Duplicated), millis(g.EndToEnd.P50) + " / " + millis(g.EndToEnd.P99)})
	}
	lines := table(rows, style)
	if terminal.Width(lines[0]) > width {
		lines = table(turned(rows), style)
	}
	fmt.Fprintln(w, strings.Join(lines, "\n"))
	fmt.Fprintf(w, "\nsending took %s in the median, %s for 99 in 100, %s at most\n", millis(r.Send.P50), millis(r.Send.P99), millis(r.Send.Max))
	for _, g := range r.Groups {
		for _, odd := range []struct {
			n    int64
			text string
			bad  bool
		}{
			{g.NotStored, "reported as not stored", false}, {g.Unknown, "reported as unknown", false},
			{g.Corrupt, "arrived changed or were never sent", true}, {g.Unanswered, "never got an answer", true},
			{g.AnsweredTwice, "got a second answer", true}, {g.Ghosts, "arrived although reported as not stored", true},
		} {
			if odd.n > 0 {
				line := fmt.Sprintf("%s: %s %s", g.Group, count(odd.n), odd.text)
				if odd.bad {
					line = style.Bad(line)
				}
				fmt.Fprintln(w, line)
			}
		}
	}
	if r.Clean {
		fmt.Fprintln(w, style.Good("Every acknowledged record arrived, once, in the order of its key."))
	} else {
		fmt.Fprintln(w, style.Bad("The audit found faults."))
	}
}

func (r *Report) sent() int64 {
	if len(r.Groups) == 0 {
		return 0
	}
	return r.Groups[0].Sent
}

// table gives the lines of a table, its first row dim, its first column to the
// left and all others to the right.
func table(rows [][]string, style terminal.Style) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], terminal.Width(cell))
		}
	}
	var lines []string
	for i, row := range rows {
		line := terminal.Pad(row[0], widths[0])
		for j, cell := range row[1:] {
			line += "  " + right(cell, widths[j+1])
		}
		if i == 0 {
			line = style.Dim(line)
		}
		lines = append(lines, line)
	}
	return lines
}

// turned makes rows of columns.
func turned(rows [][]string) [][]string {
	out := make([][]string, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			out[i] = append(out[i], cell)
		}
	}
	return out
}

// count writes a number with its thousands set apart.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// millis writes a latency with two or three digits.
func millis(ms float64) string {
	switch {
	case ms >= 9950:
		return fmt.Sprintf("%.0f s", ms/1000)
	case ms >= 995:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 9.95:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(int64(n)) + " " + what + "s"
}
