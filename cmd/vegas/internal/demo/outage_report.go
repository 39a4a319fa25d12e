package demo

import (
	"fmt"
	"io"
	"strings"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

// OutageReport is what a demo of an outage ends with.
type OutageReport struct {
	Seconds float64 `json:"seconds"`
	Kills   int64   `json:"kills"`
	// WaitingMax is how many records were accepted and not delivered at most.
	WaitingMax int64     `json:"waiting_max"`
	Phases     []Trouble `json:"outages"`

	Keys int64 `json:"keys"`
	Sent int64 `json:"sent"`
	// Accepted: the producer said that they were safe on disk.
	Accepted int64 `json:"accepted"`
	// Unknown were given to a process that was killed before it had said so.
	Unknown    int64 `json:"unknown"`
	Delivered  int64 `json:"delivered"`
	Lost       int64 `json:"lost"`
	OutOfOrder int64 `json:"out_of_order"`
	Duplicated int64 `json:"duplicated"`
	// Removed are the resends that the consumer recognised.
	Removed int64   `json:"duplicates_removed"`
	Corrupt int64   `json:"corrupt"`
	Odd     int64   `json:"answered_wrongly"`
	Delay   Latency `json:"end_to_end"`
	Clean   bool    `json:"clean"`
}

// Trouble is a time in which the stream was not well, in milliseconds.
type Trouble struct {
	What string `json:"what"`
	From int64  `json:"from_ms"`
	To   int64  `json:"to_ms"`
}

func (w *outage) report() *OutageReport {
	s := w.got.Sums()
	r := &OutageReport{
		Seconds: w.now().Seconds(), Kills: w.kills, WaitingMax: w.top, Phases: []Trouble{},
		Keys: s.Keys, Sent: s.Sent - s.NotStored, Accepted: s.Acknowledged, Unknown: s.Unknown, Delivered: s.Delivered,
		Lost: s.Lost, OutOfOrder: s.OutOfOrder, Duplicated: s.Duplicated, Removed: w.removed.Load(), Corrupt: s.Corrupt,
		Odd: s.Unanswered + s.AnsweredTwice + s.Ghosts, Delay: latency(&w.delay),
		Clean: s.Clean() && s.Delivered > 0,
	}
	for _, p := range w.chart.phases {
		r.Phases = append(r.Phases, Trouble{p.name, p.from.Milliseconds(), p.to.Milliseconds()})
	}
	return r
}

// Write prints the sums for people, on lines of that width where it can.
func (r *OutageReport) Write(w io.Writer, style terminal.Style, width int) {
	verdict := func(n int64) string {
		if n == 0 {
			return style.Good("0")
		}
		return style.Bad(count(n))
	}
	rows := [][]string{
		{"accepted", "delivered", "lost", "out of order", "duplicated", "resent, removed", "waiting at most"},
		{count(r.Accepted), count(r.Delivered), verdict(r.Lost), verdict(r.OutOfOrder), verdict(r.Duplicated), count(r.Removed), count(r.WaitingMax)},
	}
	lines := terminal.Table("rrrrrrr", rows, style)
	if terminal.Width(lines[0]) > width {
		lines = terminal.Table("lr", terminal.Turn(rows), terminal.Style{})
	}
	fmt.Fprintln(w, strings.Join(lines, "\n"))
	fmt.Fprintf(w, "\n%s of %s keys in %.0f s, the producer killed %s; a record was on its way for %s in the median, %s at most\n",
		plural(int(r.Sent), "record"), count(r.Keys), r.Seconds, plural(int(r.Kills), "time"), millis(r.Delay.P50), millis(r.Delay.Max))
	if r.Unknown > 0 {
		fmt.Fprintf(w, "%s had been given to a process that was killed before it said that they were safe\n", plural(int(r.Unknown), "record"))
	}
	for _, odd := range []struct {
		n    int64
		text string
	}{{r.Corrupt, "arrived changed or were never sent"}, {r.Odd, "were answered wrongly"}} {
		if odd.n > 0 {
			fmt.Fprintln(w, style.Bad(count(odd.n)+" "+odd.text))
		}
	}
	if !r.Clean {
		fmt.Fprintln(w, style.Bad("The audit found faults."))
		return
	}
	fmt.Fprintln(w, style.Good("Every accepted record arrived, once, in the order of its key."))
}
