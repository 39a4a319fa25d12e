// Command testreport turns the output of `go test -json` into one line a
// package, everything that failed, and a sum of passed and failed tests.
//
//	go test -json work | go run ./internal/testreport [-sum FILE]
//
// The sum counts every test and subtest once; a package that fails without a
// failed test (it does not build, it panics, it runs out of time) counts as one
// failure. It exits with 1 when anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	sum := flag.String("sum", "", "append a line \"passed failed skipped\" to this `file`")
	flag.Parse()
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	if *sum != "" {
		if err := appendLine(*sum, fmt.Sprintf("%d %d %d\n", r.passed, r.failed, r.skipped)); err != nil {
			fmt.Fprintln(os.Stderr, "testreport:", err)
			os.Exit(1)
		}
	}
	if r.failed > 0 {
		os.Exit(1)
	}
}

func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f, line); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// event is one line of `go test -json`; see `go doc test2json` and
// `go help buildjson`.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

type report struct {
	out                     io.Writer
	passed, failed, skipped int
	packages                map[string]*pkg
}

// pkg is what is known of a package whose tests are not over.
type pkg struct {
	tests  int
	failed int
	// output holds what each unfinished test has printed; "" is the package.
	output map[string][]string
}

func newReport(out io.Writer) *report {
	return &report{out: out, packages: map[string]*pkg{}}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read test events: %w", err)
		}
	}
	// A stream that was cut leaves packages without a result.
	for _, name := range sortedKeys(r.packages) {
		r.finish(name, event{Action: "fail", Package: name})
	}
	return nil
}

func (r *report) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(r.out, line)
		return
	}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
		return
	case "build-fail", "":
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &pkg{output: map[string][]string{}}
		r.packages[e.Package] = p
	}
	switch e.Action {
	case "output":
		p.output[e.Test] = append(p.output[e.Test], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.finish(e.Package, e)
			return
		}
		p.tests++
		switch e.Action {
		case "pass":
			r.passed++
		case "fail":
			r.failed++
			p.failed++
			r.print(p.output[e.Test])
		case "skip":
			r.skipped++
			r.print(p.output[e.Test])
		}
		delete(p.output, e.Test)
	}
}

// finish prints and forgets a package that has its result.
func (r *report) finish(name string, e event) {
	p := r.packages[name]
	delete(r.packages, name)
	switch {
	case e.Action == "fail":
		if p.failed == 0 {
			r.failed++
		}
		for _, test := range sortedKeys(p.output) {
			r.print(p.output[test])
		}
		fmt.Fprintf(r.out, "FAIL %s (%d tests, %.1f s)\n", name, p.tests, e.Elapsed)
	case p.tests > 0:
		fmt.Fprintf(r.out, "ok   %s (%d tests, %.1f s)\n", name, p.tests, e.Elapsed)
	}
}

// print writes what a test printed, without the marks of its start and pauses.
func (r *report) print(output []string) {
	for _, line := range output {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
