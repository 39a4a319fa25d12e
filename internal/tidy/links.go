package tidy

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	inlineLink    = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)`)
	referenceLink = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s*<?([^\s>]+)>?`)
	inlineCode    = regexp.MustCompile("`+[^`]*`+")
	fence         = regexp.MustCompile("^\\s*(```|~~~)")
	heading       = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
	linkText      = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	htmlAnchor    = regexp.MustCompile(`<a\s+(?:id|name)="([^"]+)"`)
	scheme        = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	// docInGo is a page of the documentation that Go source points its reader to.
	docInGo = regexp.MustCompile(`\bdocs/[\w./-]+\.md(?:#[\w-]+)?`)
)

// links reports links between files that lead nowhere: relative ones of
// Markdown, and those to docs/ that errors and comments give.
func links(r *repo) []problem {
	var found []problem
	anchors := map[string]map[string]bool{}
	check := func(file string, line int, base, link string) {
		if text := r.deadLink(anchors, base, link); text != "" {
			found = append(found, problem{file, line, fmt.Sprintf("link %q: %s", link, text)})
		}
	}
	for _, name := range r.files {
		if !strings.HasSuffix(name, ".md") || inTestdata(name) {
			continue
		}
		text, err := fs.ReadFile(r.fsys, name)
		if err != nil {
			continue
		}
		for number, line := range proseLines(string(text)) {
			for _, m := range inlineLink.FindAllStringSubmatch(line, -1) {
				check(name, number, name, m[1])
			}
			if m := referenceLink.FindStringSubmatch(line); m != nil {
				check(name, number, name, m[1])
			}
		}
	}
	for _, f := range r.goes {
		if f.dir() == "internal/tidy" {
			continue // its tests plant dead links
		}
		for number, line := range strings.Split(string(f.source), "\n") {
			for _, link := range docInGo.FindAllString(line, -1) {
				check(f.name, number+1, "x", link) // from the root
			}
		}
	}
	return sorted(found)
}

// deadLink says what is wrong with a link in the file base, if anything.
func (r *repo) deadLink(anchors map[string]map[string]bool, base, link string) string {
	if scheme.MatchString(link) || strings.HasPrefix(link, "//") {
		return ""
	}
	target, anchor, _ := strings.Cut(link, "#")
	name := base
	if target != "" {
		name = path.Join(path.Dir(base), target)
		if strings.HasPrefix(target, "/") {
			name = strings.TrimPrefix(path.Clean(target), "/")
		}
		if !r.hasFile(name) {
			return "there is no " + name
		}
	}
	if anchor == "" || !strings.HasSuffix(name, ".md") {
		return ""
	}
	if anchors[name] == nil {
		text, err := fs.ReadFile(r.fsys, name)
		if err != nil {
			return err.Error()
		}
		anchors[name] = anchorsOf(string(text))
	}
	if !anchors[name][strings.ToLower(anchor)] {
		return "there is no heading for #" + anchor + " in " + name
	}
	return ""
}

// proseLines are the lines of a Markdown text by number, from 1, with code
// blanked out.
func proseLines(text string) map[int]string {
	lines := map[int]string{}
	inCode := false
	for i, line := range strings.Split(text, "\n") {
		if fence.MatchString(line) {
			inCode = !inCode
			continue
		}
		if !inCode {
			lines[i+1] = inlineCode.ReplaceAllString(line, "")
		}
	}
	return lines
}

// anchorsOf are the anchors that GitHub gives to the headings of a page.
func anchorsOf(text string) map[string]bool {
	anchors := map[string]bool{}
	seen := map[string]int{}
	inCode := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if fence.MatchString(line) {
			inCode = !inCode
			continue
		}
		if inCode {
			continue
		}
		for _, m := range htmlAnchor.FindAllStringSubmatch(line, -1) {
			anchors[strings.ToLower(m[1])] = true
		}
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		slug := slugOf(m[1])
		if n := seen[slug]; n > 0 {
			anchors[fmt.Sprintf("%s-%d", slug, n)] = true
		} else {
			anchors[slug] = true
		}
		seen[slug]++
	}
	return anchors
}

// slugOf is the anchor of a heading: lower case, punctuation dropped, spaces
// become hyphens.
func slugOf(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	var slug strings.Builder
	for _, c := range strings.ToLower(title) {
		switch {
		case c == ' ':
			slug.WriteByte('-')
		case c == '-' || c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c):
			slug.WriteRune(c)
		}
	}
	return slug.String()
}
