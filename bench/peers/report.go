package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/libvegas/vegas/bench/contest"
	"github.com/libvegas/vegas/bench/figures"
)

// The section of the page that holds the contest, and its pictures, from the root.
const (
	pageSection = "bench-peers"
	pictureDir  = "docs/bench"
)

// sideOfPage is a part of the section.
type sideOfPage struct {
	side           contest.Side
	title, picture string
}

// sides in the order of the page.
var sides = []sideOfPage{
	{contest.Produce, "Sending", "produce.svg"},
	{contest.Consume, "Receiving", "consume.svg"},
}

// tell prints what was measured, and writes it down where it is to be, unless vegas
// itself has failed.
func (t *table) tell(out io.Writer) error {
	failed := t.failures()
	if t.settings.short {
		fmt.Fprintf(out, "%d turns, %d failed\n", len(t.results), failed)
	} else {
		fmt.Fprint(out, t.page())
	}
	if failed > 0 && (t.settings.short || t.oursFailed()) {
		return fmt.Errorf("%d turns failed", failed)
	}
	if !t.settings.write {
		return nil
	}
	return t.write()
}

// write puts the section and its pictures into the documentation, and what the README
// quotes of it.
func (t *table) write() error {
	pictures := filepath.Join(t.root, filepath.FromSlash(pictureDir))
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		return err
	}
	for _, s := range sides {
		if err := os.WriteFile(filepath.Join(pictures, s.picture), []byte(t.picture(s.side, s.title).SVG()), 0o644); err != nil {
			return err
		}
	}
	page := t.page()
	lines, err := quote(page)
	if err != nil {
		return err
	}
	if err := figures.Write(t.root, figures.Page, pageSection, page); err != nil {
		return err
	}
	return figures.Write(t.root, quoteFile, pageSection, lines)
}

// page is the section.
func (t *table) page() string {
	var b strings.Builder
	b.WriteString(t.machine.measured(t.began))
	if t.noJava == nil && t.machine.java != "" {
		fmt.Fprintf(&b, ", Java %s", t.machine.java)
	}
	fmt.Fprintf(&b, ", by `%s`: %d shards, %s keys; the middle of %d turns (least–most).\n\n",
		t.settings.command(), shards, figures.Number(keys), t.settings.rounds)
	if t.noJava != nil {
		fmt.Fprintf(&b, "Left out are the rows of Java: %s.\n\n", t.noJava)
	}
	for _, s := range sides {
		if !t.has(s.side) {
			continue
		}
		fmt.Fprintf(&b, "### %s, beside others\n\n![CPU time a record, by client](%s/%s)\n\n", s.title, filepath.Base(pictureDir), s.picture)
		for _, k := range t.tasks {
			if rows := t.rows(k); k.side == s.side && len(rows) > 0 {
				fmt.Fprintf(&b, "**%s**, %s records a turn\n\n%s\n", k.name, whole(k.records), t.figures(rows).Markdown())
				for _, note := range notes(k, rows) {
					fmt.Fprintf(&b, "- %s\n", note)
				}
				b.WriteString("\n")
			}
		}
	}
	b.WriteString("### Goals\n\nThose of [latency](#latency), [growth](#what-grows-with-the-stream), [rest](#at-rest) and [order](#what-is-gated) " +
		"stand in sections of their own.\n\n" + figures.Goals(t.goals()).Markdown() + "\n")
	b.WriteString("### Whether it counts\n\nThe wire floor beside the AWS SDK, against what was measured of both when the goals were set. Where it is another one, the last columns say which of the two has changed:\n\n" +
		t.calibration().Markdown() + "\n")
	b.WriteString("### Settings\n\n" + t.settingsTable().Markdown())
	return b.String()
}

func (t *table) has(side contest.Side) bool {
	for _, r := range t.results {
		if r.task.side == side {
			return true
		}
	}
	return false
}

// command is what repeats this run.
func (s *settings) command() string {
	c := fmt.Sprintf("go run ./bench/peers -rounds %d -records %d", s.rounds, s.records)
	if only := s.only.String(); only != "" {
		c += fmt.Sprintf(" -only '%s'", only)
	}
	return c
}

// figures of a task.
func (t *table) figures(rows []*row) *figures.Table {
	out := &figures.Table{Head: []string{"", "CPU a record, us", "of the floor"}}
	remembers := len(only(rows, func(c *contest.Contender) bool { return c.Remembers })) > 0
	if remembers {
		out.Head = append(out.Head, "of the floor with hashes cached")
	}
	out.Head = append(out.Head, "allocated a record, B", "resident, MiB", "records a second", "CPU of the server, us")
	for _, r := range rows {
		name := r.contender.Name
		if ours(r.contender) {
			name = "**" + name + "**"
		}
		allocated := "–"
		if r.knowsAllocated() {
			allocated = figures.Number(r.spread((*result).allocated).Median)
		}
		cells := []string{name, r.cpu().Text(), r.beside(floorOf(rows, r.contender, false)).Text()}
		if remembers {
			cells = append(cells, r.beside(floorOf(rows, r.contender, true)).Text())
		}
		out.Add(append(cells, allocated,
			figures.Number(r.spread((*result).residentMiB).Max),
			figures.Number(r.spread((*result).rate).Median),
			figures.Number(r.spread((*result).serverMicros).Median))...)
	}
	return out
}

func (r *row) knowsAllocated() bool {
	return len(r.results) > 0 && r.results[0].done.Allocated >= 0
}

// notes say who had fewer records, what of them is not as it was sent, and who did
// not do it all.
func notes(k *task, rows []*row) []string {
	var notes []string
	for _, r := range rows {
		name := r.contender.Name
		if n := k.work(r.contender).Records; n != k.records {
			notes = append(notes, fmt.Sprintf("%s: %s records a turn.", name, whole(n)))
		}
		for _, err := range r.failures {
			notes = append(notes, fmt.Sprintf("%s: a turn failed: %s.", name, firstLine(err)))
		}
		if r.contender.Floor {
			continue // it keeps no order, and is not there to
		}
		var most *result
		for _, res := range r.results {
			if most == nil || len(res.remark()) > len(most.remark()) {
				most = res
			}
		}
		if most != nil && most.remark() != "" {
			notes = append(notes, fmt.Sprintf("%s: in one turn%s.", name, strings.TrimPrefix(most.remark(), ",")))
		}
	}
	return notes
}

func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// settingsTable has the versions of all, and how they were set.
func (t *table) settingsTable() *figures.Table {
	out := &figures.Table{Head: []string{"", "version", "settings"}, Text: true}
	seen := map[*contest.Contender]bool{}
	for _, k := range t.tasks {
		for _, r := range t.rows(k) {
			if c := r.contender; !seen[c] {
				seen[c] = true
				out.Add(c.Name, t.version(c), c.Settings)
			}
		}
	}
	return out
}

func (t *table) version(c *contest.Contender) string {
	if c.Module == "" {
		return ""
	}
	if _, artifact, ok := strings.Cut(c.Module, ":"); ok {
		return jarVersion(t.root, artifact)
	}
	return moduleVersion(c.Module)
}

// picture of a side.
func (t *table) picture(side contest.Side, title string) *figures.Bars {
	p := &figures.Bars{Title: title + ": client CPU time a record", Unit: fmt.Sprintf("us, the middle of %d turns, least to most; less is better", t.settings.rounds)}
	for _, k := range t.tasks {
		rows := t.rows(k)
		if k.side != side || len(rows) == 0 {
			continue
		}
		g := figures.Group{Title: k.name}
		for _, r := range rows {
			if r.contender.Remembers {
				continue // hardly to be told from the other one
			}
			bar := figures.Bar{Label: r.contender.Name, Value: r.cpu(), Kind: figures.Other}
			switch {
			case ours(r.contender):
				bar.Kind = figures.Own
			case r.contender.Floor:
				bar.Kind = figures.Floor
				if g.Line == 0 && r.cpu().N > 0 {
					g.Line, g.LineLabel = r.cpu().Median, r.contender.Name
				}
			}
			g.Bars = append(g.Bars, bar)
		}
		p.Groups = append(p.Groups, g)
	}
	return p
}
