package main

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// written writes files into a folder of the test.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Texts come from the module's own folder and from the ways to linked packages; the same
// text of two modules, with whatever line ends, is there once.
func TestNotices(t *testing.T) {
	root := written(t, map[string]string{
		"one/LICENSE.txt":          "\nUse it.\r\nKeep this.\r\n",
		"one/NOTICE":               "Made by One.\n",
		"one/taken/LICENSE":        "Made by somebody else.\n",
		"one/taken/deep/deep.go":   "package deep\n",
		"one/taken/deep/notice.go": "package deep\n",
		"one/taken/deep/COPYING":   "\n",
		"one/elsewhere/LICENSE":    "Of what is not linked.\n",
		"two/LICENSE-MIT":          "Use it.\nKeep this.\n",
		"two/licensed.txt":         "No licence.\n",
		"two/copyright/LICENSE":    "Of what is not linked.\n",
	})
	one, two := filepath.Join(root, "one"), filepath.Join(root, "two")
	l := linked{}
	l.add("example.org/two v1.4.0", two, two)
	l.add("example.org/one v1.2.3", one, filepath.Join(one, "taken", "deep"))
	l.add("example.org/one v1.2.3", one, one)
	got, err := l.notices()
	if err != nil {
		t.Fatal(err)
	}
	want := noticesHead + `    example.org/one v1.2.3
    example.org/two v1.4.0

` + noticesRule + `
example.org/one v1.2.3: LICENSE.txt
example.org/two v1.4.0: LICENSE-MIT

Use it.
Keep this.

` + noticesRule + `
example.org/one v1.2.3: NOTICE

Made by One.

` + noticesRule + `
example.org/one v1.2.3: taken/LICENSE

Made by somebody else.
`
	if string(got) != want {
		t.Errorf("notices are\n%s\nwant\n%s", got, want)
	}
}

func TestNoticesWantALicence(t *testing.T) {
	root := written(t, map[string]string{
		"bare/README.md":         "It is free.\n",
		"noticed/NOTICE":         "Made by somebody.\n",
		"empty/LICENSE":          "\n",
		"below/package/LICENSE":  "Of that package.\n",
		"below/package/below.go": "package below\n",
	})
	for name, folder := range map[string]string{"bare": "bare", "noticed": "noticed", "empty": "empty", "below": "below/package", "missing": "missing"} {
		l := linked{}
		l.add("example.org/"+name+" v1.2.3", filepath.Join(root, name), filepath.Join(root, filepath.FromSlash(folder)))
		if _, err := l.notices(); err == nil || !strings.Contains(err.Error(), "example.org/"+name+" v1.2.3") {
			t.Errorf("%s: error %v, want one that names the module", name, err)
		}
	}
}

// What the notices are of is what an engine says that is in it.
func TestNoticesOfTheEngine(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an engine")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	tr := &tree{root: root, out: t.TempDir()}
	if _, err := os.Stat(filepath.Join(tr.root, "cmd", "vegas", "go.mod")); err != nil {
		t.Skip("not a checkout: modules that were downloaded come without those below them")
	}
	here := platform{runtime.GOOS, runtime.GOARCH}
	if err := tr.buildEngine(t.Context(), here, "v1.2.3"); err != nil {
		t.Fatal(err)
	}
	if err := checkEngine(tr.engine(here), here); err != nil {
		t.Error(err)
	}
	l := linked{}
	if err := l.of(t.Context(), tr.root, append(tr.goEnv(here), "CGO_ENABLED=0"), engineCommand); err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(tr.engine(here))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for name := range l {
		if !strings.HasPrefix(name, "Go ") {
			got = append(got, name)
		}
	}
	for _, m := range info.Deps {
		if !own(m.Path) {
			want = append(want, m.Path+" "+m.Version)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Fatalf("go list names\n%s\nthe engine\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	text, err := l.notices()
	if err != nil {
		t.Fatal(err)
	}
	for name := range l {
		if !strings.Contains(string(text), "\n"+name+": ") {
			t.Errorf("there is no text of %s", name)
		}
	}
	for _, wanted := range []string{"Copyright 2009 The Go Authors", "AWS SDK for Go", "aws-sdk-go-v2 v", ": internal/sync/singleflight/LICENSE\n"} {
		if !strings.Contains(string(text), wanted) {
			t.Errorf("notices have no %q", wanted)
		}
	}

	if err := l.complete(tr.engine(here)); err != nil {
		t.Error(err)
	}
	delete(l, want[0])
	if err := l.complete(tr.engine(here)); err == nil || !strings.Contains(err.Error(), want[0]) {
		t.Errorf("without %s the list passes for complete: %v", want[0], err)
	}
}
