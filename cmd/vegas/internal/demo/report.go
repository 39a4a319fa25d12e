package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

// Report is what a demo ends with.
type Report struct {
	Seconds   float64   `json:"seconds"`
	LeaseTime int64     `json:"lease_time_ms"`
	Workers   int       `json:"workers_started"`
	Splits    int       `json:"splits"`
	Merges    int       `json:"merges"`
	Incidents []Outcome `json:"incidents"`

	Keys          int64 `json:"keys"`
	Sent          int64 `json:"sent"`
	Acknowledged  int64 `json:"acknowledged"`
	NotStored     int64 `json:"not_stored"`
	Unknown       int64 `json:"unknown"`
	Delivered     int64 `json:"delivered"`
	Lost          int64 `json:"lost"`
	OutOfOrder    int64 `json:"out_of_order"`
	Duplicated    int64 `json:"duplicated"`       // but for those after a kill -9
	Repeated      int64 `json:"repeated_by_kill"` // which nothing can avoid
	Corrupt       int64 `json:"corrupt"`
	Unanswered    int64 `json:"unanswered"`
	AnsweredTwice int64 `json:"answered_twice"`
	Ghosts        int64 `json:"reported_not_stored_but_delivered"`

	Send     Latency `json:"send_latency"`
	EndToEnd Latency `json:"end_to_end"`
	Clean    bool    `json:"clean"`
}

// Latency in milliseconds.
type Latency struct {
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	Max float64 `json:"max_ms"`
}

// Outcome is an incident and the silence it caused, times in milliseconds.
type Outcome struct {
	At       int64  `json:"at_ms"`
	What     string `json:"what"`
	Silent   int64  `json:"silent_ms"`
	Shard    string `json:"shard"`
	Goal     int64  `json:"goal_ms,omitempty"`
	Met      bool   `json:"met"`
	Repeated int64  `json:"repeated"`
}

func (w *world) report() *Report {
	s := w.fleet.audit.Sums()
	r := &Report{
		Seconds: w.now().Seconds(), LeaseTime: w.LeaseTime.Milliseconds(), Workers: len(w.fleet.list()), Incidents: []Outcome{},
		Keys: s.Keys, Sent: s.Sent, Acknowledged: s.Acknowledged, NotStored: s.NotStored, Unknown: s.Unknown, Delivered: s.Delivered,
		Lost: s.Lost, OutOfOrder: s.OutOfOrder, Corrupt: s.Corrupt, Unanswered: s.Unanswered, AnsweredTwice: s.AnsweredTwice, Ghosts: s.Ghosts,
		Send: latency(&w.traffic.send), EndToEnd: latency(&w.fleet.delay),
	}
	for _, i := range w.fleet.incidents() {
		switch i.Kind {
		case Split:
			r.Splits++
		case Merge:
			r.Merges++
		case Kill:
			r.Repeated += i.Repeated
		}
		r.Incidents = append(r.Incidents, Outcome{At: i.At.Milliseconds(), What: i.What, Silent: i.Silent.Milliseconds(), Shard: i.Shard,
			Goal: i.Goal.Milliseconds(), Met: i.Met(), Repeated: i.Repeated})
	}
	r.Duplicated = s.Duplicated - r.Repeated
	// What a kill repeats is promised to nobody; a demo that moved nothing proves
	// nothing.
	s.Duplicated = r.Duplicated
	r.Clean = s.Clean() && s.Delivered > 0
	return r
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
	fmt.Fprintln(w, strings.Join(r.incidents(style, width), "\n")+"\n")
	// A sum that should be 0 is good or bad, all others are as they are.
	verdict := func(n int64) string {
		if n == 0 {
			return style.Good("0")
		}
		return style.Bad(count(n))
	}
	rows := [][]string{
		{"sent", "acked", "delivered", "lost", "out of order", "duplicated", "again (kill -9)", "end to end p50 / p99"},
		{count(r.Sent), count(r.Acknowledged), count(r.Delivered), verdict(r.Lost), verdict(r.OutOfOrder), verdict(r.Duplicated),
			count(r.Repeated), millis(r.EndToEnd.P50) + " / " + millis(r.EndToEnd.P99)},
	}
	lines := terminal.Table("rrrrrrrr", rows, style)
	if terminal.Width(lines[0]) > width {
		lines = terminal.Table("lr", terminal.Turn(rows), terminal.Style{})
	}
	fmt.Fprintln(w, strings.Join(lines, "\n"))
	fmt.Fprintf(w, "\n%s records of %s keys in %.0f s; sending took %s in the median, %s for 99 in 100, %s at most\n",
		count(r.Sent), count(r.Keys), r.Seconds, millis(r.Send.P50), millis(r.Send.P99), millis(r.Send.Max))
	for _, odd := range []struct {
		n    int64
		text string
		bad  bool
	}{
		{r.NotStored, "reported as not stored", false}, {r.Unknown, "reported as unknown", false},
		{r.Corrupt, "arrived changed or were never sent", true}, {r.Unanswered, "never got an answer", true},
		{r.AnsweredTwice, "got a second answer", true}, {r.Ghosts, "arrived although reported as not stored", true},
	} {
		if odd.n > 0 {
			line := count(odd.n) + " " + odd.text
			if odd.bad {
				line = style.Bad(line)
			}
			fmt.Fprintln(w, line)
		}
	}
	switch {
	case !r.Clean:
		fmt.Fprintln(w, style.Bad("The audit found faults."))
	case r.Repeated > 0:
		fmt.Fprintln(w, style.Good("Every acknowledged record arrived, in the order of its key, once unless its worker was killed."))
	default:
		fmt.Fprintln(w, style.Good("Every acknowledged record arrived, once, in the order of its key."))
	}
}

// incidents is the table of what happened.
func (r *Report) incidents(style terminal.Style, width int) []string {
	rows := [][]string{{"", "what happened", "silent at most", "goal", "again"}}
	room := width - 45
	for _, i := range r.Incidents {
		silent, goal := millis(float64(i.Silent)), ""
		if i.Goal > 0 {
			goal = "< " + millis(float64(i.Goal))
			if silent = style.Good(silent); !i.Met {
				silent = style.Bad(millis(float64(i.Silent)))
			}
		}
		what := i.What
		if terminal.Width(what) > room {
			what = terminal.Cut(what, room-1) + "…"
		}
		rows = append(rows, []string{style.Dim(seconds(time.Duration(i.At) * time.Millisecond)), what, silent, goal, count(i.Repeated)})
	}
	return terminal.Table("rlrrr", rows, style)
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
