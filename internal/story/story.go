// Package story plays scripts for tests: what a state machine does, told step by
// step, so that a test can be read, and a change of what happens too.
package story

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into the stories")

// Play plays each story of testdata as a subtest. A step is a line or more of
// commands, "----", and what they show, up to an empty line; # is a comment.
// begin is called for each story, and what it returns for each command, with the
// lines that it shows. With -args -rewrite what happens now is written into the
// stories; read the difference.
func Play(t *testing.T, begin func() (do func(command string) []string)) {
	files, err := filepath.Glob("testdata/*.story")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".story"), func(t *testing.T) { play(t, f, begin()) })
	}
}

func play(t *testing.T, file string, do func(string) []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			fmt.Fprintln(&out, lines[i])
			continue
		}
		at := i + 1
		var commands, want, got []string
		for ; i < len(lines) && lines[i] != "----" && lines[i] != ""; i++ {
			commands = append(commands, lines[i])
		}
		for i++; i < len(lines) && lines[i] != ""; i++ {
			want = append(want, lines[i])
		}
		for _, c := range commands {
			got = append(got, do(c)...)
		}
		fmt.Fprintf(&out, "%s\n----\n", strings.Join(commands, "\n"))
		for _, g := range got {
			fmt.Fprintln(&out, g)
		}
		fmt.Fprintln(&out)
		if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b && !*rewrite {
			t.Errorf("%s:%d: %s\ngot\n%s\nwant\n%s", file, at, strings.Join(commands, "; "), a, b)
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
