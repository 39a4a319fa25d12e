//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The marks of the table in docs/languages.md.
const (
	tableBegin = "<!-- written by bindings/scenarios -all -write -->"
	tableEnd   = "<!-- end of what bindings/scenarios writes -->"
)

// table is what a run of everything came to, by the tree or by installed packages.
func table(s *set, cells []*cell, installed bool) []byte {
	type place struct{ scenario, language string }
	ended := map[place]*cell{}
	for _, c := range cells {
		ended[place{c.scenario.Name, c.language.name}] = c
	}
	var b bytes.Buffer
	if installed {
		b.WriteString("\nTold from installed packages (`make test-packages`): each language's own, installed by name into an empty environment, with the engine that it brings along. Go's is the module itself.\n")
	} else {
		b.WriteString("\nTold from the sources in the tree (`make test-bindings-all`), not from installed packages.\n")
	}
	b.WriteString("\n| Scenario |")
	for _, l := range all {
		fmt.Fprintf(&b, " %s |", l.title)
	}
	b.WriteString("\n|---|")
	for range all {
		b.WriteString(":---:|")
	}
	b.WriteString("\n")
	notes, number := []string{}, map[string]int{}
	for i := range s.Scenarios {
		sc := &s.Scenarios[i]
		fmt.Fprintf(&b, "| %s |", sc.Title)
		for _, l := range all {
			c, why := ended[place{sc.Name, l.name}], sc.Except[l.name]
			switch {
			case why != "":
				if number[why] == 0 {
					notes = append(notes, why)
					number[why] = len(notes)
				}
				fmt.Fprintf(&b, " – (%d) |", number[why])
			case c == nil:
				b.WriteString(" |")
			case c.err != nil:
				b.WriteString(" **fails** |")
			default:
				b.WriteString(" ✓ |")
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("\n✓ passes, – does not apply:\n\n")
	for i, why := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, why)
	}
	b.WriteString("\n")
	return b.Bytes()
}

func writeTable(root string, s *set, cells []*cell, installed bool) error {
	name := filepath.Join(root, "docs", "languages.md")
	have, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(have, []byte(tableBegin+"\n"))
	_, tail, also := bytes.Cut(rest, []byte(tableEnd+"\n"))
	if !ok || !also {
		return errors.New("docs/languages.md lacks the marks of the table: put in the lines\n" + tableBegin + "\n" + tableEnd)
	}
	fresh := bytes.Join([][]byte{head, []byte(tableBegin + "\n"), table(s, cells, installed), []byte(tableEnd + "\n"), tail}, nil)
	if bytes.Equal(fresh, have) {
		return nil
	}
	return os.WriteFile(name, fresh, 0o644)
}
