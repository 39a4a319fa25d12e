package tidy

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

const entriesPage = "docs/troubleshooting.md"

var (
	// entryWord is a word that code turns into a link to an entry.
	entryWord = regexp.MustCompile(`(?:\b(?:link|withLink)\(|\bverdict\{\w+, |\bFatal, |\blink: +)"([a-z-]+)"`)
	// entryLink is a link spelt out; whether it leads anywhere is the business of
	// the rule for links.
	entryLink = regexp.MustCompile(`\btroubleshooting\.md#([a-z-]+)`)
	// entryCode is an error of other languages, whose entry is named as its code is.
	entryCode = regexp.MustCompile(`"code": "([a-z_]+)"`)
)

// entries reports errors that point to no entry of the troubleshooting page, and
// entries that no error points to.
func entries(r *repo) []problem {
	page, err := fs.ReadFile(r.fsys, entriesPage)
	if err != nil {
		return nil // no page, and then no entry
	}
	var found []problem
	anchors, used := anchorsOf(string(page)), map[string]bool{}
	for _, f := range r.goes {
		if f.isTest() || f.dir() == "internal/tidy" {
			continue
		}
		for number, line := range strings.Split(string(f.source), "\n") {
			for _, m := range entryLink.FindAllStringSubmatch(line, -1) {
				used[m[1]] = true
			}
			for _, m := range entryWord.FindAllStringSubmatch(line, -1) {
				used[m[1]] = true
				if !anchors[m[1]] {
					found = append(found, problem{f.name, number + 1, fmt.Sprintf("there is no heading for %q in %s", m[1], entriesPage)})
				}
			}
		}
	}
	codes, err := fs.ReadFile(r.fsys, "bindings/protocol.json")
	if err == nil {
		for _, m := range entryCode.FindAllStringSubmatch(string(codes), -1) {
			used[strings.ReplaceAll(m[1], "_", "-")] = true
		}
	}
	for number, line := range proseLines(string(page)) {
		if word, ok := strings.CutPrefix(line, "## "); ok && !used[word] {
			found = append(found, problem{entriesPage, number, fmt.Sprintf("no error points to %q", word)})
		}
	}
	return sorted(found)
}
