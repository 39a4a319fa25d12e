package figures

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Page holds the figures, from the root of the repository.
const Page = "docs/benchmarks.md"

// Root gives the folder of go.work.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.work")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.work in %s or above it: run this in a clone of vegas", dir)
		}
	}
}

// Write replaces what stands between the markers of a file, see [Insert].
func Write(root, file, name, text string) error {
	file = filepath.Join(root, filepath.FromSlash(file))
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed, err := Insert(string(page), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(changed), 0o644)
}

// Insert replaces what stands between the markers of a page, which are lines
//
//	<!-- NAME: how it is made -->
//	<!-- end of NAME -->
func Insert(page, name, text string) (string, error) {
	start, end, err := section(page, name)
	if err != nil {
		return "", err
	}
	return page[:start] + "\n" + strings.TrimSpace(text) + "\n\n" + page[end:], nil
}

// Section is what stands between the markers of a page.
func Section(page, name string) (string, error) {
	start, end, err := section(page, name)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(page[start:end]), nil
}

func section(page, name string) (start, end int, err error) {
	start = strings.Index(page, "<!-- "+name+":")
	end = strings.Index(page, "<!-- end of "+name+" -->")
	if start < 0 || end < start {
		return 0, 0, fmt.Errorf("figures: no markers of %q in the page", name)
	}
	line := strings.Index(page[start:], "\n")
	if line < 0 || start+line > end {
		return 0, 0, fmt.Errorf("figures: the marker of %q is not a line of its own", name)
	}
	return start + line + 1, end, nil
}
