package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	for _, c := range []struct {
		name, in, out           string
		passed, failed, skipped int
	}{
		{
			name: "passing tests are a line a package",
			in: `{"Action":"start","Package":"a"}
{"Action":"output","Package":"a","Test":"TestX","Output":"noise\n"}
{"Action":"pass","Package":"a","Test":"TestX/sub"}
{"Action":"pass","Package":"a","Test":"TestX"}
{"Action":"pass","Package":"a","Elapsed":1.5}
{"Action":"skip","Package":"no-tests"}
`,
			out:    "ok   a (2 tests, 1.5 s)\n",
			passed: 2,
		},
		{
			name: "a failed test shows what it printed, its passing neighbour does not",
			in: `{"Action":"output","Package":"a","Test":"TestX","Output":"x_test.go:1: wrong\n"}
{"Action":"output","Package":"a","Test":"TestY","Output":"noise\n"}
{"Action":"pass","Package":"a","Test":"TestY"}
{"Action":"fail","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"FAIL\n"}
{"Action":"fail","Package":"a"}
`,
			out:    "x_test.go:1: wrong\nFAIL\nFAIL a (2 tests, 0.0 s)\n",
			passed: 1, failed: 1,
		},
		{
			name: "a package that does not build is one failure",
			in: `{"ImportPath":"a","Action":"build-output","Output":"a.go:1: syntax error\n"}
{"ImportPath":"a","Action":"build-fail"}
{"Action":"output","Package":"a","Output":"FAIL\ta [build failed]\n"}
{"Action":"fail","Package":"a","FailedBuild":"a"}
`,
			out:    "a.go:1: syntax error\nFAIL\ta [build failed]\nFAIL a (0 tests, 0.0 s)\n",
			failed: 1,
		},
		{
			name: "a stream that is cut is a failure and shows the unfinished test",
			in: `{"Action":"output","Package":"a","Test":"TestX","Output":"so far\n"}
`,
			out:    "so far\nFAIL a (0 tests, 0.0 s)\n",
			failed: 1,
		},
		{
			name: "a skipped test says why",
			in: `{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"needs java\n"}
{"Action":"skip","Package":"a","Test":"TestX"}
{"Action":"pass","Package":"a"}
`,
			out:     "needs java\nok   a (1 tests, 0.0 s)\n",
			skipped: 1,
		},
		{
			name: "what is not an event is passed on",
			in:   "go: cannot find module\n",
			out:  "go: cannot find module\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out)
			if err := r.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.out {
				t.Errorf("printed\n%s\nwant\n%s", out.String(), c.out)
			}
			if r.passed != c.passed || r.failed != c.failed || r.skipped != c.skipped {
				t.Errorf("counted %d %d %d, want %d %d %d",
					r.passed, r.failed, r.skipped, c.passed, c.failed, c.skipped)
			}
		})
	}
}
