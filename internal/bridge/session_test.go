package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libvegas/vegas/record"
)

// host is a scripted host of a session over pipes in memory.
type host struct {
	t      testing.TB
	in     io.WriteCloser
	frames *frameReader
	ended  chan error // of Serve

	calls   int64
	answers map[int64]arguments
	results map[uint64]result // reports by number, of producer n from n*otherProducer on
	order   []uint64
	events  []arguments
	failed  arguments
	cpu     func() time.Duration // ends the engine's process and tells what it took
}

func newHost(t testing.TB, in io.WriteCloser, out io.Reader) *host {
	return &host{t: t, in: in, frames: newFrameReader(out), ended: make(chan error, 1), answers: map[int64]arguments{}, results: map[uint64]result{}}
}

const otherProducer = 1 << 48

// result is what a report says of a record.
type result struct {
	status          byte
	shard, sequence string
	sub             int64
	failure         map[string]any
}

// start starts a session and says hello.
func start(t testing.TB, c Config) *host {
	t.Helper()
	h := open(t, c)
	h.put(kindHello, results{"protocol": []any{int64(1), int64(3)}, "language": "go", "pid": 1, "grace": 2_000_000, "log": "debug"})
	kind, body := h.next()
	m, err := parseMap(body)
	if kind != kindHello || err != nil || m["protocol"] != int64(1) {
		t.Fatalf("hello was answered with %d, %v, %v", kind, m, err)
	}
	return h
}

// open starts a session and says nothing.
func open(t testing.TB, c Config) *host {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	h := newHost(t, inW, outR)
	go func() {
		err := Serve(context.Background(), inR, outW, c)
		_ = outW.Close()
		h.ended <- err
	}()
	t.Cleanup(func() {
		_ = inW.Close()
		_, _ = io.Copy(io.Discard, outR)
	})
	return h
}

func (h *host) put(kind byte, v results) {
	h.t.Helper()
	h.write(endFrame(appendValue(beginFrame(nil, kind), v), 0))
}

func (h *host) write(b []byte) {
	h.t.Helper()
	if _, err := h.in.Write(b); err != nil {
		h.t.Fatalf("write: %v", err)
	}
}

func (h *host) next() (byte, []byte) {
	h.t.Helper()
	kind, body, err := h.frames.next()
	if err != nil {
		h.t.Fatalf("read: %v", err)
	}
	return kind, body
}

// step takes one frame in.
func (h *host) step() {
	h.t.Helper()
	kind, body := h.next()
	switch kind {
	case kindAnswer, kindEvent, kindFail:
		m, err := parseMap(body)
		if err != nil {
			h.t.Fatalf("frame %d: %v", kind, err)
		}
		switch kind {
		case kindAnswer:
			h.answers[m["call"].(int64)] = m
		case kindEvent:
			h.events = append(h.events, m)
		default:
			h.failed = m["error"].(map[string]any)
		}
	case kindReport:
		h.report(body)
	default:
		h.t.Fatalf("a frame of kind %d", kind)
	}
}

func (h *host) report(body []byte) {
	h.t.Helper()
	producer, groups := uint64(littleEndian.Uint32(body)), littleEndian.Uint32(body[4:])
	for body = body[8:]; groups > 0; groups-- {
		status, size, count := body[0], int(littleEndian.Uint16(body[2:])), int(littleEndian.Uint32(body[4:]))
		text := body[8 : 8+size]
		r := result{status: status}
		switch status {
		case statusStored:
			r.shard, r.sequence, _ = strings.Cut(string(text), "\x00")
		case statusNotStored, statusUnknown:
			m, err := parseMap(text)
			if err != nil {
				h.t.Fatalf("failure: %v", err)
			}
			r.failure = m
		}
		for body = body[8+size:]; count > 0; count-- {
			number := producer*otherProducer + littleEndian.Uint64(body)
			r.sub = int64(littleEndian.Uint64(body[8:]))
			if _, twice := h.results[number]; twice {
				h.t.Fatalf("record %d was reported twice", number)
			}
			h.results[number] = r
			h.order = append(h.order, number)
			body = body[reportRow:]
		}
	}
	if len(body) != 0 {
		h.t.Fatalf("%d bytes behind the reports", len(body))
	}
}

// ask calls and returns the number of the call.
func (h *host) ask(method string, m results) int64 {
	h.t.Helper()
	h.calls++
	all := results{"call": h.calls, "method": method}
	maps.Copy(all, m)
	h.put(kindCall, all)
	return h.calls
}

// await takes frames in until a call is answered.
func (h *host) await(call int64) (arguments, map[string]any) {
	h.t.Helper()
	for h.answers[call] == nil {
		h.step()
	}
	failed, _ := h.answers[call]["error"].(map[string]any)
	return h.answers[call], failed
}

// call calls and wants success.
func (h *host) call(method string, m results) arguments {
	h.t.Helper()
	a, failed := h.await(h.ask(method, m))
	if failed != nil {
		h.t.Fatalf("%s: %v", method, failed)
	}
	return a
}

// refused calls and wants an error of that code.
func (h *host) refused(code, method string, m results) string {
	h.t.Helper()
	_, failed := h.await(h.ask(method, m))
	if failed["code"] != code {
		h.t.Fatalf("%s: %v: want %s", method, failed, code)
	}
	return failed["text"].(string)
}

// send sends records.
func (h *host) send(producer uint32, first uint64, rs ...record.Record) {
	h.t.Helper()
	h.write(appendSend(nil, producer, first, rs))
}

// appendSend appends a send frame.
func appendSend(b []byte, producer uint32, first uint64, rs []record.Record) []byte {
	start := len(b)
	b = littleEndian.AppendUint32(beginFrame(b, kindSend), producer)
	b = littleEndian.AppendUint64(b, first)
	b = littleEndian.AppendUint32(b, uint32(len(rs)))
	for i := range rs {
		b = littleEndian.AppendUint32(b, uint32(len(rs[i].Data)))
		b = littleEndian.AppendUint32(b, uint32(headersBytes(rs[i].Headers)))
		b = littleEndian.AppendUint16(b, uint16(len(rs[i].PartitionKey)))
		b = append(b, byte(len(rs[i].ExplicitHashKey)), 0)
	}
	for i := range rs {
		b = append(append(b, rs[i].PartitionKey...), rs[i].ExplicitHashKey...)
		b = append(appendHeaders(b, rs[i].Headers), rs[i].Data...)
	}
	return endFrame(b, start)
}

// close closes the host's side, takes in what is left and returns Serve's error.
func (h *host) close() error {
	h.t.Helper()
	_ = h.in.Close()
	for {
		kind, body, err := h.frames.next()
		if err != nil {
			break
		}
		if kind == kindReport {
			h.report(body)
		}
	}
	return <-h.ended
}

// local starts a server of the session and a producer of it.
func (h *host) local(streams map[string]any, options map[string]any) {
	h.t.Helper()
	l := h.call(methodStartLocal, results{"local": 0, "streams": streams, "no_limits": true, "record_bytes": 10 << 20})
	h.open(l["endpoint"].(string), options)
}

// open opens a producer of the stream "orders".
func (h *host) open(endpoint string, options map[string]any) {
	h.t.Helper()
	all := map[string]any{"endpoint": endpoint}
	maps.Copy(all, options)
	h.call(methodOpenProducer, results{"producer": 0, "stream": "orders", "options": all})
}

func TestSendReportsEachRecordOnce(t *testing.T) {
	h := start(t, Config{Version: "1"})
	h.local(map[string]any{"orders": 2}, nil)
	const n = 1000
	rng := rand.New(rand.NewPCG(1, 2))
	for sent := 0; sent < n; {
		rs := make([]record.Record, min(1+rng.IntN(50), n-sent))
		for i := range rs {
			rs[i] = record.Record{PartitionKey: fmt.Sprint("k", rng.IntN(20)), Data: make([]byte, rng.IntN(300))}
			if rng.IntN(4) == 0 {
				rs[i].Headers = []record.Header{{Key: "id", Value: "ü"}, {Key: "id", Value: ""}}
			}
		}
		h.send(0, uint64(sent), rs...)
		sent += len(rs)
	}
	if a := h.call(methodFlush, results{"producer": 0}); a["left"] != int64(0) {
		t.Errorf("flush left %v", a["left"])
	}
	if len(h.results) != n {
		t.Fatalf("%d of %d records were reported before the flush was answered", len(h.results), n)
	}
	places := map[place]bool{}
	for i, r := range h.results {
		if r.status != statusStored || r.shard == "" || r.sequence == "" || places[r2(r)] {
			t.Errorf("record %d: %+v", i, r)
		}
		places[r2(r)] = true
	}
	stats := h.call(methodStats, results{"producer": 0})["stats"].(map[string]any)
	if stats["records_sent"] != int64(n) || stats["records_open"] != int64(0) {
		t.Errorf("stats: %v", stats)
	}
	h.call(methodCheck, results{"producer": 0})
	h.call(methodCloseProducer, results{"producer": 0, "timeout": 5_000_000})
	h.send(0, n, record.Record{PartitionKey: "late"})
	h.call(methodStopLocal, results{"local": 0})
	if err := h.close(); err != nil {
		t.Error(err)
	}
	if r := h.results[n]; r.status != statusNotStored || r.failure["code"] != codeClosed {
		t.Errorf("a record that was sent behind close: %+v", r)
	}
}

// r2 is where a result says that a record is.
func r2(r result) place { return place{r.shard, r.sequence, r.sub} }

// place is where a record was stored.
type place struct {
	shard, sequence string
	sub             int64
}

func TestBadRecordsHaveTheirReport(t *testing.T) {
	h := start(t, Config{})
	h.local(map[string]any{"orders": 1}, nil)
	h.send(0, 0,
		record.Record{PartitionKey: "", Data: []byte("no key")},
		record.Record{PartitionKey: strings.Repeat("k", 257)},
		record.Record{PartitionKey: "\xff"},
		record.Record{PartitionKey: "k", ExplicitHashKey: "minus one"},
		record.Record{PartitionKey: "k", Data: make([]byte, 11<<20)},
		record.Record{PartitionKey: strings.Repeat("ü", 256), Data: []byte("good")},
	)
	h.send(0, 6, record.Record{PartitionKey: "large", Data: make([]byte, 10<<20-5)})
	h.call(methodFlush, results{"producer": 0})
	for i, code := range []string{codeBadOption, codeBadOption, codeBadOption, codeBadOption, codeTooLarge, "", ""} {
		switch r := h.results[uint64(i)]; {
		case code == "" && r.status != statusStored:
			t.Errorf("record %d: %+v", i, r)
		case code != "" && (r.status != statusNotStored || r.failure["code"] != code || !strings.Contains(fmt.Sprint(r.failure["remedy"]), "troubleshooting.md#") || strings.Contains(r.failure["text"].(string), "(see")):
			t.Errorf("record %d: %+v, want %s", i, r, code)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	h := start(t, Config{})
	open := func(options map[string]any) string {
		h.calls++ // numbers are used once, also for what could not be opened
		return h.refused(codeBadOption, methodOpenProducer, results{"producer": h.calls, "stream": "orders", "options": options})
	}
	for want, options := range map[string]map[string]any{
		"there is no option lingr: did you mean linger?":                {"lingr": 1},
		"there is no option zzzzzzzzzz":                                 {"zzzzzzzzzz": 1},
		"the option linger is soon: want a duration, 0 or more":         {"linger": "soon"},
		"the option linger is -1: want a duration, 0 or more":           {"linger": -1},
		"the option on_failure is panic: want fail_record, fail_key":    {"on_failure": "panic"},
		"the option endpoint is \"somewhere\": want a URL such as http": {"endpoint": "somewhere"},
		": max_requests is 0: want more than 0":                         {"max_requests": 0},
	} {
		if text := open(options); !strings.Contains(text, strings.ReplaceAll(want, "is soon", `is "soon"`)) && !strings.Contains(strings.ReplaceAll(text, `"`, ""), strings.ReplaceAll(want, `"`, "")) {
			t.Errorf("%v: %s", options, text)
		}
	}
	h.refused(codeBadOption, methodOpenProducer, results{"producer": 900, "stream": "no/name"})
	h.refused(codeBadOption, methodOpenProducer, results{"producer": 900, "stream": "orders"})
	h.refused(codeBadOption, methodFlush, results{"producer": 77})
	h.refused(codeProtocol, "dance", nil)
	if err := h.close(); err != nil {
		t.Error(err)
	}
}

func TestVersionsHaveToMeet(t *testing.T) {
	h := open(t, Config{})
	h.put(kindHello, results{"protocol": []any{int64(2), int64(3)}})
	h.step()
	if h.failed["code"] != codeVersion {
		t.Errorf("%v", h.failed)
	}
	if err := <-h.ended; err == nil {
		t.Error("Serve returned nil")
	}
}

// TestBreaches breaks the protocol in all ways that the reader sees.
func TestBreaches(t *testing.T) {
	value := func(kind byte, v any) []byte { return endFrame(appendValue(beginFrame(nil, kind), v), 0) }
	one := []record.Record{{PartitionKey: "k", Data: make([]byte, 100)}}
	for name, c := range map[string]struct {
		frame []byte
		code  string
	}{
		"size 0":                {[]byte{0, 0, 0, 0, 9}, codeProtocol},
		"size too large":        {[]byte{255, 255, 255, 255, 9}, codeProtocol},
		"hello twice":           {value(kindHello, results{}), codeProtocol},
		"a report":              {value(kindReport, results{}), codeProtocol},
		"a call that is no map": {value(kindCall, "x"), codeProtocol},
		"a call without number": {value(kindCall, results{"method": "stats"}), codeProtocol},
		"an answer to nobody":   {value(kindAnswer, results{"call": 1}), codeProtocol},
		"no such producer":      {appendSend(nil, 9, 0, one), codeProtocol},
		"a number left out":     {appendSend(nil, 0, 1, one), codeProtocol},
		"no records":            {appendSend(nil, 0, 0, nil), codeProtocol},
		"bytes left over":       {endFrame(append(appendSend(nil, 0, 0, one), 0), 0), codeProtocol},
		"more than the window":  {appendSend(nil, 0, 0, slices.Repeat(one, 100)), codeOverrun},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, Config{})
			h.local(map[string]any{"orders": 1}, map[string]any{"buffer_bytes": 10000})
			h.write(c.frame)
			for h.failed == nil {
				h.step()
			}
			if h.failed["code"] != c.code {
				t.Errorf("%v: want %s", h.failed, c.code)
			}
			if err := <-h.ended; err == nil {
				t.Error("Serve returned nil")
			}
		})
	}
}

func TestUnknownFramesArePassedOver(t *testing.T) {
	h := start(t, Config{})
	h.write(endFrame(append(beginFrame(nil, 99), make([]byte, 300<<10)...), 0))
	h.put(kindEvent, results{"event": "nonsense"})
	h.refused(codeBadOption, methodStats, results{"producer": 1})
	if err := h.close(); err != nil {
		t.Error(err)
	}
}

// TestHostGoneInMidFrame ends a host within a frame: what was whole is sent.
func TestHostGoneInMidFrame(t *testing.T) {
	h := start(t, Config{})
	h.local(map[string]any{"orders": 1}, map[string]any{"linger": 60_000_000})
	h.send(0, 0, record.Record{PartitionKey: "k", Data: []byte("whole")})
	whole := appendSend(nil, 0, 1, []record.Record{{PartitionKey: "k", Data: []byte("cut")}})
	h.write(whole[:len(whole)-1])
	if err := h.close(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Serve returned %v", err)
	}
	if r := h.results[0]; r.status != statusStored || len(h.results) != 1 {
		t.Errorf("reports: %+v", h.results)
	}
}

func TestDurableRecordsAreReportedTwiceAsFast(t *testing.T) {
	h := start(t, Config{})
	dir := t.TempDir()
	h.local(map[string]any{"orders": 1}, map[string]any{"durable": dir})
	h.send(0, 0, record.Record{PartitionKey: "k", Data: []byte("x")})
	for len(h.results) == 0 {
		h.step()
	}
	if r := h.results[0]; r.status != statusDurable {
		t.Errorf("%+v", r)
	}
	if a := h.call(methodFlush, results{"producer": 0, "timeout": 10_000_000}); a["left"] != int64(0) {
		t.Errorf("flush left %v", a["left"])
	}
	h.call(methodStopLocal, results{"local": 0})
	h.send(0, 1, record.Record{PartitionKey: "k", Data: []byte("y")})
	if a := h.call(methodCloseProducer, results{"producer": 0, "timeout": 100_000}); a["left"] != int64(1) {
		t.Errorf("close left %v", a["left"])
	}
	if r := h.results[1]; r.status != statusDurable {
		t.Errorf("%+v", r)
	}
	if err := h.close(); err != nil {
		t.Error(err)
	}
}

// TestNothingIsLeftOfALocalServer starts one when the session has ended all others.
func TestNothingIsLeftOfALocalServer(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	s := &session{locals: map[uint32]*local{0: {}}}
	s.ctx, s.cancel = context.WithCancel(t.Context())
	s.spawn(func() {
		<-s.ctx.Done()
		runtime.Gosched()
		if _, err := s.startLocal(0, arguments{}); err != nil {
			t.Error(err)
		}
	})
	s.drain()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d directories are left, %v", len(left), err)
	}
}

func TestStatsComeByThemselves(t *testing.T) {
	h := start(t, Config{})
	h.local(map[string]any{"orders": 1}, map[string]any{"stats_every": 1})
	isStats := func(e arguments) bool { return e["event"] == "stats" && e["producer"] == int64(0) }
	for !slices.ContainsFunc(h.events, isStats) {
		h.step()
	}
	if err := h.close(); err != nil {
		t.Error(err)
	}
}

func TestManyLogLinesAreDropped(t *testing.T) {
	var l logLines
	for range 20000 {
		for _, level := range []string{"debug", "info", "warn"} {
			l.add(map[string]slog.Level{"debug": -4, "info": 0, "warn": 4}[level], logEvent(0, time.Time{}, strings.Repeat("x", 100), nil))
		}
	}
	b := l.take(nil)
	if len(b) > logBytes+1000 || l.dropped != 0 {
		t.Errorf("%d bytes, %d dropped", len(b), l.dropped)
	}
	if !strings.Contains(string(b[len(b)-200:]), "log lines were dropped") {
		t.Error("nobody is told")
	}
}

func TestErrorsHaveTheirCode(t *testing.T) {
	h := start(t, Config{})
	h.local(map[string]any{"orders": 1}, nil)
	l := h.call(methodStartLocal, results{"local": 1, "streams": []any{}})
	h.call(methodOpenProducer, results{"producer": 1, "stream": "none", "options": map[string]any{"endpoint": l["endpoint"]}})
	h.refused(codeNotFound, methodCheck, results{"producer": 1})
	if e := h.answers[h.calls]["error"].(map[string]any); !strings.Contains(fmt.Sprint(e["remedy"]), "stream-not-found") {
		t.Errorf("%v", e)
	}
	h.call(methodStopLocal, results{"local": 1})
	h.call(methodOpenProducer, results{"producer": 2, "stream": "none", "options": map[string]any{"endpoint": l["endpoint"], "profile": nil}})
	h.refused(codeUnreachable, methodCheck, results{"producer": 2})
	h.refused(codeBadOption, methodStartLocal, results{"local": 2, "streams": map[string]any{"no name": 1}})
	h.refused(codeBadOption, methodStartLocal, results{"local": 3, "streams": map[string]any{"orders": 0}})
	h.refused(codeBadOption, methodOpenProducer, results{"producer": 3, "stream": "none", "options": map[string]any{"profile": "nobody's"}})
	for err, code := range map[error]string{
		fmt.Errorf("x: %w: %w", record.ErrDeadline, record.ErrThrottled):       codeDeadline,
		fmt.Errorf("x: %w: %w", record.ErrEarlierFailed, record.ErrTooLarge):   codeEarlierFailed,
		&record.SendError{Err: record.ErrThrottled, Outcome: record.NotStored}: codeThrottled,
		errors.Join(errors.New("x"), record.ErrGraceOver):                      codeGraceOver,
		context.DeadlineExceeded: codeTimeout,
		errors.New("put: no (see docs/troubleshooting.md#access-denied)"):         codeAccessDenied,
		errors.New("something else (see docs/troubleshooting.md#clock-skew) too"): codeFailed,
	} {
		if f := failureOf(err); f.code != code || strings.Contains(f.text, "(see") {
			t.Errorf("%v: %+v, want %s", err, f, code)
		}
	}
}

func TestOptionsAreNamedAsHostsNameThem(t *testing.T) {
	for text, want := range map[string]string{
		"o.PollBusy is 2s and o.PollIdle 1s: want more than 0":   "poll_busy is 2s and poll_idle 1s: want more than 0",
		"give the record up by o.DeadLetter or o.OnError = Skip": "give the record up by dead_letter or on_error = skip",
		"o.OnTrimmed = vegas.Skip goes on without them":          "on_trimmed = skip goes on without them",
		"set AWS_REGION, or o.AWS.Region":                        "set AWS_REGION, or region",
		"o.FallBackToPolling is off":                             "fall_back_to_polling is off",
		"o.Transactional, foo.Worker and o.AWS":                  "o.Transactional, foo.Worker and o.AWS",
	} {
		if got := named(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
	if text, _ := explain(fmt.Errorf("record 1: handler failed: %w", hostError{"o.Start is no function"})); text != "record 1: handler failed: o.Start is no function" {
		t.Errorf("what the host said has become %s", text)
	}
}

// TestPanicsEndTheSession lets an extension panic where it is made.
func TestPanicsEndTheSession(t *testing.T) {
	var stderr strings.Builder
	h := start(t, Config{Stderr: &stderr, Extensions: []Extension{{
		Name: "bad", Consumer: func(map[string]any) (func(record.Handler) record.Handler, error) { panic("at the disco") },
	}}})
	h.ask(methodOpenConsumer, results{"consumer": 0, "stream": "orders", "group": "g", "options": map[string]any{
		"store": "memory", "extensions": []any{map[string]any{"bad": map[string]any{}}},
	}})
	for h.failed == nil {
		h.step()
	}
	if h.failed["code"] != codeFailed || !strings.Contains(h.failed["text"].(string), "at the disco") {
		t.Errorf("%v", h.failed)
	}
	if err := <-h.ended; err == nil {
		t.Error("Serve returned nil")
	}
	if !strings.Contains(stderr.String(), "session_test.go") {
		t.Errorf("standard error has no stack: %s", stderr.String())
	}
}
