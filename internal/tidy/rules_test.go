package tidy

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRules plants violations of each rule, and what must not be taken for one.
func TestRules(t *testing.T) {
	const v = `"github.com/libvegas/vegas`
	imports := func(pkg string, paths ...string) string {
		var s strings.Builder
		s.WriteString("// Package " + pkg + " is one.\npackage " + pkg + "\n")
		for _, p := range paths {
			s.WriteString("\nimport _ " + p + "\n")
		}
		return s.String()
	}
	test := func(body string) string {
		return "package x\n\nimport (\n\t\"testing/synctest\"\n\t\"time\"\n)\n\n" + body
	}
	for _, c := range []struct {
		rule, name string
		files      map[string]string
		want       string
	}{
		// layers
		{"layers", "down", map[string]string{"internal/send/x.go": imports("send", v+`/internal/lane"`, v+`/record"`)}, ""},
		{"layers", "up", map[string]string{"internal/lane/x.go": imports("lane", v+`/internal/send"`)}, "internal/lane (decision) imports internal/send (runner)"},
		{"layers", "the root from below", map[string]string{"internal/send/x.go": imports("send", v+`"`)}, "imports . (root)"},
		{"layers", "tests may", map[string]string{"internal/lane/x_test.go": imports("lane", v+`/internal/send"`)}, ""},
		{"layers", "unknown package", map[string]string{"internal/helper/x.go": imports("helper")}, "add it to the table in internal/tidy/layers.go"},
		{"layers", "unknown import", map[string]string{"internal/send/x.go": imports("send", v+`/internal/helper"`)}, "add it to the table in internal/tidy/layers.go"},
		{"layers", "an adapter and a runner", map[string]string{"store/x/x.go": imports("x", v+`/internal/lease"`)}, "store/x (adapter) imports internal/lease (runner)"},
		{"layers", "the server and the wire", map[string]string{"localkinesis/x.go": imports("localkinesis", v+`/internal/wire"`)}, "localkinesis (server) imports internal/wire (outside)"},
		{"layers", "the server and the SDK", map[string]string{"localkinesis/x.go": imports("localkinesis", `"github.com/aws/aws-sdk-go-v2/aws"`)}, ""},
		{"layers", "the root and the server", map[string]string{"x.go": imports("vegas", v+`/localkinesis"`)}, ". (root) imports localkinesis (server)"},
		{"layers", "the root and its stores", map[string]string{"x.go": imports("vegas", v+`/store/file"`)}, ""},
		{"layers", "the root and an adapter", map[string]string{"x.go": imports("vegas", v+`/store/sqlite"`)}, ". (root) imports store/sqlite (adapter)"},
		{"layers", "a decision and the SDK", map[string]string{"internal/lane/x.go": imports("lane", `"github.com/aws/aws-sdk-go-v2/aws"`)}, "only the standard library"},
		{"layers", "a decision and the network", map[string]string{"internal/lane/x.go": imports("lane", `"net/http"`)}, "does not know the network"},
		{"layers", "a dependency of the core", map[string]string{"internal/send/x.go": imports("send", `"github.com/pkg/errors"`)}, "every user of vegas would download"},
		{"layers", "a dependency of another module", map[string]string{"cmd/x/go.mod": "", "cmd/x/x.go": imports("main", `"github.com/spf13/cobra"`)}, ""},
		{"layers", "a nested module inside the core", map[string]string{"store/x/go.mod": "", "store/x/x.go": imports("x", v+`/internal/keyspace"`)}, "module store/x imports internal/keyspace"},
		{"layers", "a command inside the core", map[string]string{"cmd/x/go.mod": "", "cmd/x/x.go": imports("main", v+`/internal/keyspace"`)}, ""},

		// purity
		{"purity", "a clock", map[string]string{"internal/lane/x.go": "package lane\n\nimport \"time\"\n\nvar now = time.Now\n"}, "uses time.Now"},
		{"purity", "a clock under another name", map[string]string{"internal/lane/x.go": "package lane\n\nimport clock \"time\"\n\nvar _ = clock.Now()\n"}, "uses time.Now"},
		{"purity", "a duration", map[string]string{"internal/lane/x.go": "package lane\n\nimport \"time\"\n\nvar _ = time.Second\n"}, ""},
		{"purity", "shared randomness", map[string]string{"internal/lane/x.go": "package lane\n\nimport \"math/rand/v2\"\n\nvar _ = rand.IntN(3)\n"}, "rand.IntN"},
		{"purity", "own randomness", map[string]string{"internal/lane/x.go": "package lane\n\nimport \"math/rand/v2\"\n\nvar _ *rand.Rand = rand.New(rand.NewPCG(1, 2))\n"}, ""},
		{"purity", "secret randomness", map[string]string{"internal/lane/x.go": "package lane\n\nimport _ \"crypto/rand\"\n"}, "crypto/rand"},
		{"purity", "a goroutine", map[string]string{"internal/lane/x.go": "package lane\n\nfunc f() { go f() }\n"}, "starts a goroutine"},
		{"purity", "a runner may", map[string]string{"internal/send/x.go": "package send\n\nimport \"time\"\n\nvar _ = time.Now()\n"}, ""},

		// sleeps
		{"sleeps", "in a test", map[string]string{"x_test.go": test("func f() { time.Sleep(1) }\n")}, "x_test.go:8: a test sleeps"},
		{"sleeps", "in a suite", map[string]string{"store/storetest/x.go": test("func f() { time.Sleep(1) }\n")}, "a test sleeps"},
		{"sleeps", "in a bubble", map[string]string{"x_test.go": test("func f() {\n\tsynctest.Test(nil, func() {\n\t\ttime.Sleep(1)\n\t})\n\t_ = 1\n}\n")}, ""},
		{"sleeps", "beside a bubble", map[string]string{"x_test.go": test("func f() {\n\tsynctest.Test(nil, func() {\n\t})\n\ttime.Sleep(1)\n}\n")}, "x_test.go:11: a test sleeps"},
		{"sleeps", "in a marked function", map[string]string{"x_test.go": test("// f waits.\n//\n//tidy:bubble its callers run in one\nfunc f() {\n\t_ = 1\n\ttime.Sleep(1)\n}\n")}, ""},
		{"sleeps", "marked", map[string]string{"x_test.go": test("func f() {\n\t//tidy:bubble made by g\n\ttime.Sleep(1)\n}\n")}, ""},
		{"sleeps", "marked without a reason", map[string]string{"x_test.go": test("func f() {\n\t//tidy:bubble\n\ttime.Sleep(1)\n}\n")}, "a test sleeps"},
		{"sleeps", "in a bubble that a helper makes", map[string]string{
			"x_test.go": test("func f() {\n\tbubble(func() {\n\t\ttime.Sleep(1)\n\t})\n}\n"),
			"y_test.go": test("func bubble(f func()) { synctest.Test(nil, func() { f() }) }\n"),
		}, ""},
		{"sleeps", "in a helper that makes none", map[string]string{
			"x_test.go": test("func f() {\n\tplain(func() {\n\t\ttime.Sleep(1)\n\t})\n}\n"),
			"y_test.go": test("func plain(f func()) { f() }\n"),
		}, "x_test.go:10: a test sleeps"},
		{"sleeps", "in a function that only a bubble uses", map[string]string{
			"x_test.go": test("func TestX() { synctest.Test(nil, func() { f() }) }\n"),
			"y_test.go": test("func f() { g() }\n\nfunc g() {\n\ttime.Sleep(1)\n\tg()\n}\n"),
		}, ""},
		{"sleeps", "in a function that others use too", map[string]string{
			"x_test.go": test("func TestX() { synctest.Test(nil, func() { f() }) }\n\nfunc TestY() { g() }\n"),
			"y_test.go": test("func f() { g() }\n\nfunc g() {\n\ttime.Sleep(1)\n\tg()\n}\n"),
		}, "y_test.go:11: a test sleeps"},
		{"sleeps", "in a function that nothing uses", map[string]string{
			"x_test.go": test("func f() {\n\ttime.Sleep(1)\n\tf()\n}\n"),
		}, "a test sleeps"},
		{"sleeps", "in code", map[string]string{"x.go": test("func f() { time.Sleep(1) }\n")}, ""},

		// length
		{"length", "long", map[string]string{"x.go": "package x\n" + strings.Repeat("\n", longestFile)}, "601 lines"},
		{"length", "long for a reason", map[string]string{"x.go": "package x\n\n//tidy:long a table\n" + strings.Repeat("\n", longestFile)}, ""},
		{"length", "long for no reason", map[string]string{"x.go": "package x\n\n//tidy:long \n" + strings.Repeat("\n", longestFile)}, "603 lines"},
		{"length", "generated", map[string]string{"x.go": "// Code generated by x. DO NOT EDIT.\n\npackage x\n" + strings.Repeat("\n", longestFile)}, ""},
		{"length", "just right", map[string]string{"x.go": "package x\n" + strings.Repeat("\n", longestFile-1)}, ""},

		// formatted
		{"formatted", "not", map[string]string{"x.go": "package x\nvar  x int\n"}, "run gofmt"},
		{"formatted", "yes", map[string]string{"x.go": "package x\n\nvar x int\n"}, ""},

		// comments
		{"comments", "none", map[string]string{"a/x.go": "package x\n", "a/y.go": "package x\n"}, "package a has no comment"},
		{"comments", "in one file", map[string]string{"a/x.go": "package x\n", "a/y.go": "// Package x is one.\npackage x\n"}, ""},
		{"comments", "only tests", map[string]string{"a/x_test.go": "package x\n"}, ""},

		// face
		{"face", "wide", map[string]string{"x.go": "package vegas\n\nconst (\n\tA = iota\n" + many(longestFace) + ")\n"}, "49 identifiers"},
		{"face", "narrow", map[string]string{"x.go": "package vegas\n\ntype T int\n\nfunc (T) M() {}\n\nconst (\n\ta = iota\n" + many(longestFace-1) + ")\n", "y/y.go": "package y\n\nvar Z int\n"}, ""},

		// unpublished
		{"unpublished", "another folder", map[string]string{"x.md": "see ../" + "shared/facts\n"}, "x.md:1: names"},
		{"unpublished", "a path of the machine", map[string]string{"x.go": "package x // in /" + "work/main\n"}, "names"},
		{"unpublished", "a numbered decision", map[string]string{"x.go": "package x // see decision" + " 4\n"}, "names"},
		{"unpublished", "ordinary words", map[string]string{"x.md": "homework/maths, https://example.org/network/ and their decisions\n"}, ""},
		{"unpublished", "bytes", map[string]string{"x.bin": "\xff/" + "work/main"}, ""},

		// changelog
		{"changelog", "missing", nil, "missing"},
		{"changelog", "released", map[string]string{"CHANGELOG.md": "# Changes\n\n## v0.1.0\n"}, "no heading"},
		{"changelog", "to be released", map[string]string{"CHANGELOG.md": "# Changes\n\n## [Unreleased]\n"}, ""},

		// links
		{"links", "alive", map[string]string{
			"README.md":   "# A\n[b](docs/b.md#what-is-it) [dir](docs) [self](#a) ![i](docs/i.png \"title\") [web](https://x.org/y#z)\n\n[r]: docs/b.md\n",
			"docs/b.md":   "## What is *it*?\n[up](../README.md#a) [root](/docs/b.md)\n",
			"docs/i.png":  "",
			"internal.go": "package x // see docs/b.md#what-is-it\n",
		}, ""},
		{"links", "no file", map[string]string{"README.md": "\n[b](docs/b.md)\n"}, `README.md:2: link "docs/b.md": there is no docs/b.md`},
		{"links", "no heading", map[string]string{"README.md": "[b](b.md#c)\n", "b.md": "# B\n"}, "no heading for #c in b.md"},
		{"links", "a heading in code", map[string]string{"README.md": "[b](#c)\n```\n# C\n```\n"}, "no heading for #c"},
		{"links", "a reference", map[string]string{"README.md": "[r]: gone.md\n"}, "there is no gone.md"},
		{"links", "in code", map[string]string{"README.md": "```\n[b](gone.md)\n```\n`[c](gone.md)`\n"}, ""},
		{"links", "twice the same heading", map[string]string{"README.md": "[2](#a-1)\n# A\n# A\n"}, ""},
		{"links", "an own anchor", map[string]string{"README.md": "[x](#x)\n<a id=\"x\"></a>\n"}, ""},
		{"links", "from an error", map[string]string{"x.go": "package x\n\nconst e = \"see docs/" + "gone.md#x\"\n"}, "x.go:3:"},

		// entries
		{"entries", "both ways", map[string]string{
			"docs/troubleshooting.md": "# T\n\n## kms\n\n## no-store\n",
			"x.go":                    "package x\n\nvar e = link(\"kms\", err) // and troubleshooting.md#no-store\n",
		}, ""},
		{"entries", "an error without one", map[string]string{
			"docs/troubleshooting.md": "# T\n", "x.go": "package x\n\nvar e = verdict{Retry, \"kms\", \"\"}\n",
		}, "x.go:3: there is no heading for \"kms\""},
		{"entries", "a code of other languages", map[string]string{
			"docs/troubleshooting.md": "# T\n\n## engine-gone\n", "bindings/protocol.json": `{"code": "engine_gone"}`,
		}, ""},
		{"entries", "one without an error", map[string]string{
			"docs/troubleshooting.md": "# T\n\n## kms\n", "x_test.go": "package x\n\nvar e = link(\"kms\", err)\n",
		}, "docs/troubleshooting.md:3: no error points to \"kms\""},
	} {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			wantProblem(t, rules[c.rule](planted(t, c.files)), c.want)
		})
	}
}

// many are n exported names.
func many(n int) string {
	var s strings.Builder
	for i := range n {
		s.WriteString("\tX" + strings.Repeat("x", i) + "\n")
	}
	return s.String()
}

// TestGeneratedStale runs a generator over a file that is stale, and one that
// is not.
func TestGeneratedStale(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":    "module x\n\ngo 1.26.0\n",
		"x.go":      "package x\n\n//go:generate go run ./gen\n",
		"gen/g.go":  "package main\n\nimport \"os\"\n\nfunc main() {\n\tos.WriteFile(\"fresh.txt\", []byte(\"new\"), 0o644)\n\tos.WriteFile(\"stale.txt\", []byte(\"new\"), 0o644)\n}\n",
		"fresh.txt": "new", "stale.txt": "old",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	found, err := generated(context.WithoutCancel(t.Context()), r, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, found, "stale.txt: its generator writes it differently")

	if err := os.Remove(filepath.Join(dir, "stale.txt")); err != nil {
		t.Fatal(err)
	}
	if r, err = load(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if found, err = generated(context.WithoutCancel(t.Context()), r, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, found, "stale.txt: a generator writes it and it is missing")
}
