package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/libvegas/vegas/buffer"
	"github.com/libvegas/vegas/buffer/disk"
	"github.com/libvegas/vegas/cmd/vegas/internal/terminal"
)

func newBufferInspect(e *env) *cobra.Command {
	var dead, keys bool
	c := &cobra.Command{
		Use:   "inspect DIR",
		Short: "Show what is in a buffer",
		Long: `Show what is in a buffer: how many records wait for the stream and since when, dead
letters, what was lost by damage, and its files. It only reads, and may look at a
buffer while a producer uses it.

A dead letter is a record that left without being stored: it can never be (it is
larger than the stream takes), or became older than it may. --dead lists them, with
the reason. "vegas buffer replay" brings them back.`,
		Example: `  vegas buffer inspect /var/spool/orders
  vegas buffer inspect /var/spool/orders --output json | jq .items
  vegas buffer inspect /var/spool/orders --dead --keys`,
		Args: exactArgs("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case keys && !dead:
				return usagef("--keys is for --dead, which is missing")
			case dead:
				return e.listDead(args[0], keys)
			}
			r, err := disk.Inspect(args[0])
			if err != nil {
				return err
			}
			if e.json() {
				return e.printJSON(r)
			}
			_, err = fmt.Fprintln(e.out, strings.Join(drawBuffer(r, time.Now(), terminal.StyleFor(e.out)), "\n"))
			return err
		},
	}
	c.Flags().BoolVar(&dead, "dead", false, "list the dead letters instead; with --output json each is a line")
	c.Flags().BoolVar(&keys, "keys", false, "with their partition keys, which are data of your users")
	return c
}

// drawBuffer is a buffer for people.
func drawBuffer(r *disk.Report, now time.Time, style terminal.Style) []string {
	records := "no record"
	if r.Items > 0 {
		records = plural(int(r.Items), "record")
	}
	title := style.Bold(r.Directory) + " keeps " + style.Bold(records)
	if r.Label != "" {
		title += " for " + style.Bold(r.Label)
	}
	if !r.Oldest.IsZero() && r.Items > 0 {
		title += ", the oldest " + brief(max(now.Sub(r.Oldest), 0)) + " old"
	}
	use := style.Dim("no process has it open")
	if r.Held {
		use = style.Good("a process has it open")
	}
	room := size(float64(r.Bytes)) + " on disk"
	if n := len(r.Segments); r.Items == 0 && n > 0 && r.Segments[n-1].Last >= r.Segments[n-1].First {
		room += ", since the last file tells which numbers were used: it goes when another one is begun"
	}
	if r.Spare > 0 {
		room += "; " + size(float64(r.Spare)) + " kept for when the disk is full"
	}
	lines := []string{title, room + "; " + use}
	if r.Dead > 0 {
		lines = append(lines, style.Warn(plural(int(r.Dead), "dead letter"))+", "+size(float64(r.DeadBytes))+`: --dead lists them, "vegas buffer replay" brings them back`)
	}
	if r.Lost > 0 || r.Quarantined > 0 {
		lines = append(lines, style.Bad(plural(int(r.Lost), "record")+" lost by damage")+", "+size(float64(r.Quarantined))+" set aside in files that begin with lost-")
	}
	if len(r.Segments) == 0 {
		return lines
	}
	rows := [][]string{{"file", "records", "numbers", "size", "begun", "producer"}}
	for _, s := range r.Segments {
		records, numbers := thousands(s.Items), style.Dim("none")
		if s.Items == 0 {
			records = style.Dim(records)
		}
		if s.Last >= s.First {
			numbers = fmt.Sprintf("%s to %s", thousands(int64(s.First)), thousands(int64(s.Last)))
		}
		if s.Remainder {
			numbers += ", a remainder"
		}
		rows = append(rows, []string{s.File, records, numbers, size(float64(s.Bytes)), ago(now, s.Created.UnixMilli()), style.Dim(s.Producer[:min(8, len(s.Producer))])})
	}
	return append(append(lines, ""), terminal.Table("lrlrrl", rows, style)...)
}

type deadView struct {
	Seq      uint64    `json:"seq"`
	Key      string    `json:"key,omitempty"`
	Bytes    int       `json:"bytes"`
	Accepted time.Time `json:"accepted"`
	Buried   time.Time `json:"buried"`
	Reason   string    `json:"reason"`
	See      []string  `json:"see,omitempty"` // pages about the reason
	Unknown  bool      `json:"unknown"`       // it may be in the stream
}

// deadShown is how many dead letters a table has.
const deadShown = 100

func (e *env) listDead(dir string, keys bool) error {
	var rows []deadView
	total := 0
	var failed error
	err := disk.Dead(dir, func(d *buffer.Dead) bool {
		v := deadView{Seq: d.Seq, Bytes: len(d.Data), Accepted: d.Accepted.UTC(), Buried: d.At.UTC(), Unknown: d.Unknown}
		v.Reason, v.See = takeLinks(d.Reason)
		if keys {
			v.Key = d.Key
		}
		if total++; e.json() {
			failed = e.printJSON(v)
		} else if len(rows) < deadShown {
			rows = append(rows, v)
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	if err != nil || e.json() {
		return err
	}
	if total == 0 {
		_, err := fmt.Fprintf(e.out, "%s: there are no dead letters\n", dir)
		return err
	}
	lines := drawDead(rows, keys, time.Now(), terminal.StyleFor(e.out))
	if more := total - len(rows); more > 0 {
		lines = append(lines, fmt.Sprintf("and %s more: --output json lists all", thousands(int64(more))))
	}
	_, err = fmt.Fprintln(e.out, strings.Join(lines, "\n"))
	return err
}

func drawDead(letters []deadView, keys bool, now time.Time, style terminal.Style) []string {
	head, align := []string{"number", "accepted", "given up", "size", "outcome", "reason"}, "rrrrll"
	if keys {
		head, align = append([]string{"key"}, head...), "l"+align
	}
	rows := [][]string{head}
	for _, d := range letters {
		outcome := "not stored"
		if d.Unknown {
			outcome = style.Warn("unknown")
		}
		row := []string{thousands(int64(d.Seq)), ago(now, d.Accepted.UnixMilli()), ago(now, d.Buried.UnixMilli()), size(float64(d.Bytes)), outcome, d.Reason}
		if keys {
			row = append([]string{fmt.Sprintf("%q", d.Key)}, row...)
		}
		rows = append(rows, row)
	}
	return terminal.Table(align, rows, style)
}
