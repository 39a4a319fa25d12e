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
	t.Run("HTTP2", func(t *testing.T) {
		// It does not try again what ends with a reset of its HTTP/2 stream.
		play(t, true, func() program { return node(t, "scenario.js") }, "unanswered read", "unanswered tags")
	})
}

// play runs the scenario in a program and checks what it saw and spoke.
func play(t *testing.T, http2 bool, p func() program, but ...string) transcript {
	t.Helper()
	run := p() // first: its installation takes time
	srv, listener := local(t, quick)
	retried := badDay(srv, but...)
	s := newScenario(listener.endpoint(), "played", http2)
	start := time.Now()
	var got transcript
	run.run(t, s, &got)
	s.check(t, got, start)
	listener.want(t, http2)
	retried(t)
	return got
}

// badDay makes the server fail in the ways that an SDK retries by itself, if it
// knows the failure for what it is. The function tells that each did happen.
// Those named are left out, for an SDK that does not retry them.
func badDay(srv *localkinesis.Server, but ...string) func(t *testing.T) {
	faults := map[string]localkinesis.Fault{
		"throttled put":      {Do: localkinesis.Throttle, Op: "PutRecord", After: 2},
		"throttled read":     {Do: localkinesis.Throttle, Op: "GetRecords", After: 1},
		"throttled describe": {Do: localkinesis.Throttle, Op: "DescribeStream"},
		"failed iterator":    {Do: localkinesis.Fail, Op: "GetShardIterator", After: 2},
		"failed batch":       {Do: localkinesis.Fail, Op: "PutRecords"},
		"unanswered read":    {Do: localkinesis.DropAnswer, Op: "GetRecords", After: 4},
		"unanswered tags":    {Do: localkinesis.DropAnswer, Op: "ListTagsForStream"},
	}
	injected := map[string]*localkinesis.Injected{}
	for what, f := range faults {
		if !slices.Contains(but, what) {
			f.Count = 1
			injected[what] = srv.Inject(f)
		}
	}
	return func(t *testing.T) {
		t.Helper()
		for what, f := range injected {
			if f.Fired() != 1 {
				t.Errorf("%s: happened %d times, want 1", what, f.Fired())
			}
		}
	}
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
			// It does not take LimitExceededException for throttling.
			got := play(t, c.http2, func() program { return java(t, "Scenario", c.options...) }, "throttled describe")
			if !slices.Contains(got.ContentTypes, c.content) {
				t.Errorf("the SDK sent %q, want %s", got.ContentTypes, c.content)
			}
		})
	}
}
