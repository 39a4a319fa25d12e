//go:build peers && unix

package peers

import (
	"slices"
	"testing"
	"time"

	"github.com/libvegas/vegas/localkinesis"
)

// quick makes states pass soon, but not at once: an SDK has to see CREATING.
func quick(o *localkinesis.Options) { o.StateDelay = 150 * time.Millisecond }

func TestSDKPython(t *testing.T) {
	t.Parallel()
	play(t, false, func() program { return python(t, "scenario.py") })
}

func TestSDKJavaScript(t *testing.T) {
	t.Parallel()
	need(t, nodeParts)
	t.Run("HTTP1", func(t *testing.T) { play(t, false, func() program { return node(t, "scenario.js") }) })
	t.Run("HTTP2", func(t *testing.T) { play(t, true, func() program { return node(t, "scenario.js") }) })
}

// play runs the scenario in a program and checks what it saw and spoke.
func play(t *testing.T, http2 bool, p func() program) transcript {
	t.Helper()
	run := p() // first: its installation takes time
	_, listener := local(t, quick)
	s := newScenario(listener.endpoint(), "played", http2)
	start := time.Now()
	var got transcript
	run.run(t, s, &got)
	s.check(t, got, start)
	listener.want(t, http2)
	return got
}

// The Java SDK chooses CBOR for Kinesis, and HTTP/2.
func TestSDKJava(t *testing.T) {
	long(t)
	t.Parallel()
	need(t, javaClasses)
	for _, c := range []struct {
		name    string
		http2   bool
		options []string
		content string
	}{
		{"HTTP1CBOR", false, nil, "application/x-amz-cbor-1.1"},
		{"HTTP2CBOR", true, nil, "application/x-amz-cbor-1.1"},
		{"HTTP2JSON", true, []string{"-Daws.cborEnabled=false"}, "application/x-amz-json-1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := play(t, c.http2, func() program { return java(t, "Scenario", c.options...) })
			if !slices.Contains(got.ContentTypes, c.content) {
				t.Errorf("the SDK sent %q, want %s", got.ContentTypes, c.content)
			}
		})
	}
}
