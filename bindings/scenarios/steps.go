//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/libvegas/vegas"
	"github.com/libvegas/vegas/store/file"
)

// runnerVerbs are what languages cannot do, or must not.
func runnerVerbs() map[string]verb {
	return map[string]verb{
		// start starts a host: in another language, with another engine or one that is
		// none, as the first process of a container, without standard input, or where
		// nobody can write to the home (or to the folder for temporary files, too).
		"start": {[]string{"language", "engine", "first_process", "no_input", "read_only"}, (*world).startHost},
		// kill ends a host, interrupt is a Ctrl-C at its terminal.
		"kill":        {nil, (*world).kill},
		"interrupt":   {nil, (*world).interrupt},
		"kill_engine": {nil, (*world).killEngine},
		// says waits until a host has written such a line to its standard error.
		"says": {[]string{"text"}, (*world).says},
		// engines waits until a host has so many.
		"engines": {[]string{"count"}, (*world).countEngines},
		// ended waits for a host's end, by itself.
		"ended": {[]string{"within", "code"}, (*world).hostEnded},
		"split": {[]string{"shard"}, (*world).split},
		"merge": {[]string{"shards"}, (*world).merge},
		// fault is one of the server's, which has to happen, or never; heal ends one by
		// its name.
		"fault":    {[]string{"as", "kind", "op", "count", "after", "rate", "entry_rate", "delay", "requests", "code", "shard", "never"}, (*world).inject},
		"heal":     {[]string{"as"}, (*world).heal},
		"register": {[]string{"as"}, (*world).register},
		// until waits for different records of a group, for so many events, for a
		// fault to have happened, or for all that was acknowledged.
		"until": {[]string{"group", "records", "kind", "events", "of", "fault", "acknowledged"}, (*world).untilCount},
		// event waits for one that is like where.
		"event": {[]string{"kind", "where"}, (*world).untilEvent},
		"count": {[]string{"kind", "of", "events"}, (*world).countEvents},
		"audit": {[]string{"group", "again"}, (*world).audit},
		// free waits until nobody owns a shard of the group.
		"free": {[]string{"group"}, (*world).free},
		"join": {[]string{"of"}, (*world).join},
		// waits sees that what join would wait for goes on so long.
		"waits": {[]string{"of", "ms"}, (*world).waits},
		"rest":  {[]string{"ms"}, (*world).rest},
	}
}

// do does a step, which is the scenario's i-th.
func (w *world) do(i int, s step) error {
	s = w.filled(s).(map[string]any)
	if v, ok := runnerVerbs()[s.text("do")]; ok {
		if err := v.by(w, s); err != nil {
			return err
		}
		if s.text("do") == "ended" {
			w.outcomes[i] = fmt.Sprintf("exit code %d", w.code)
		}
		return nil
	}
	return w.ask(i, s)
}

// filled puts what is known meanwhile into $names.
func (w *world) filled(v any) any {
	switch v := v.(type) {
	case step:
		return w.filled(map[string]any(v))
	case map[string]any:
		out := map[string]any{}
		for name, one := range v {
			out[name] = w.filled(one)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, one := range v {
			out[i] = w.filled(one)
		}
		return out
	case string:
		for name, value := range w.vars {
			v = strings.ReplaceAll(v, "$"+name, value)
		}
		return v
	}
	return v
}

// fast are options of consumers in all scenarios, so that these do not take as long
// as AWS would allow.
var fast = map[string]any{"poll_idle": "150ms", "poll_busy": "50ms", "checkpoint_every": "500ms"}

// ask asks a driver, and looks at its answer.
func (w *world) ask(i int, s step) error {
	h, err := w.at(s)
	if err != nil {
		return err
	}
	args := map[string]any{}
	maps.Copy(args, s)
	for _, name := range common {
		if name != "do" {
			delete(args, name)
		}
	}
	do := s.text("do")
	if do == "producer" || do == "consumer" {
		given := map[string]any{}
		if do == "consumer" {
			maps.Copy(given, fast)
		}
		named, _ := s["options"].(map[string]any)
		maps.Copy(given, named)
		if args["options"], err = w.protocol.options(do, given); err != nil {
			return err
		}
		if args["stream"] == nil {
			args["stream"] = streamName
		}
	}
	w.note(h, s, args)
	began := time.Now()
	answer := h.call(args)
	finish := func() error {
		select {
		case a, ok := <-answer:
			if do == "exit" {
				return nil
			}
			if !ok && s.flag("killed") {
				return nil
			}
			if !ok {
				return errHostEnded
			}
			if endpoint, is := a["endpoint"].(string); is && do == "local" {
				w.vars[s.text("as")] = endpoint
			}
			if err := w.results(s, a); err != nil {
				return err
			}
			if !s.flag("killed") { // or else it is chance
				w.outcomes[i] = outcomeOfStep(s, a)
			}
			a["seconds"] = time.Since(began).Seconds()
			return judge(s, a)
		case <-time.After(s.limit()):
			return fmt.Errorf("no answer within %v", s.limit())
		case <-w.ctx.Done():
			return context.Cause(w.ctx)
		}
	}
	if name := s.text("async"); name != "" {
		w.waiting[name] = call{answer, finish}
		return nil
	}
	return finish()
}

// judge compares an answer with what it has to be.
func judge(s step, answer map[string]any) error {
	if want, ok := s["error"]; ok {
		if answer["error"] == nil {
			return fmt.Errorf("it succeeded: want the error %s", show(want))
		}
		return match("error", want, answer["error"])
	}
	if answer["error"] != nil {
		return fmt.Errorf("error: %s", show(answer["error"]))
	}
	if want, ok := s["want"]; ok {
		return match("the answer", want, answer)
	}
	return nil
}

// note opens the accounts of what a step is about to do.
func (w *world) note(h *host, s step, args map[string]any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s.text("do") {
	case "consumer":
		w.groupOf[h.name+"/"+s.text("as")] = s.text("group")
	case "send", "fork":
		for _, r := range s.records() {
			w.account.send(r.key, r.described)
		}
	case "many":
		for n := s.number("from", 0); n < s.number("from", 0)+s.number("count", 0); n++ {
			w.account.send(s.numbered(n))
		}
		if s.flag("tell") {
			w.many[h.name+"/"+s.text("to")] = s
		}
	}
}

// sentRecord is one that a step names.
type sentRecord struct{ key, described string }

func (s step) records() []sentRecord {
	all, _ := s["records"].([]any)
	var out []sentRecord
	for _, v := range all {
		m, _ := v.(map[string]any)
		r := sentRecord{}
		r.key, _ = m["key"].(string)
		if text, ok := m["data"].(string); ok {
			r.described = described([]byte(text))
		} else {
			size, _ := m["size"].(float64)
			r.described = described(filled(int(size)))
		}
		out = append(out, r)
	}
	return out
}

// numbered is a record of many.
func (s step) numbered(n int) (key, data string) {
	prefix := s.text("prefix")
	return fmt.Sprintf("%skey-%d", prefix, n%s.number("keys", 1)), fmt.Sprintf("%s%d", prefix, n)
}

// results takes what a driver says of records into the accounts.
func (w *world) results(s step, answer map[string]any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s.text("do") {
	case "send":
		results, _ := answer["results"].([]any)
		for i, r := range s.records() {
			if i < len(results) {
				m, _ := results[i].(map[string]any)
				at := ""
				if m["error"] == nil && m["durable"] != true {
					at = position(m)
				}
				w.account.result(r.key, r.described, outcomeOf(m["error"]), at)
			}
		}
	case "fork":
		if answer["error"] == nil {
			for _, r := range s.records() {
				w.account.result(r.key, r.described, stored, "")
			}
		}
	case "many":
		if answer["error"] != nil || s["wait"] == false {
			return nil
		}
		count, from := s.number("count", 0), s.number("from", 0)
		failed, _ := answer["failed"].([]any)
		ok, _ := answer["ok"].(float64)
		if int(ok)+len(failed) != count {
			return fmt.Errorf("of %d records %v were reported as stored and %d as failed", count, ok, len(failed))
		}
		for n := from; n < from+count; n++ {
			key, data := s.numbered(n)
			w.account.result(key, data, stored, "")
		}
		for _, v := range failed {
			m, _ := v.(map[string]any)
			n, _ := m["number"].(float64)
			key, data := s.numbered(int(n))
			w.account.result(key, data, outcomeOf(m["error"]), "")
		}
	}
	return nil
}

func outcomeOf(e any) outcome {
	m, failed := e.(map[string]any)
	switch {
	case !failed:
		return stored
	case m["unknown"] == true:
		return unknown
	}
	return notStored
}

func (w *world) startHost(s step) error {
	l := w.language
	if s.text("language") == "other" {
		l = w.other
	}
	_, err := w.start(s.host(), l, s)
	return err
}

func (w *world) running(s step) (*host, error) {
	h := w.hosts[s.host()]
	if h == nil {
		return nil, fmt.Errorf("host %s has not started", s.host())
	}
	return h, nil
}

func (w *world) kill(s step) error {
	h, err := w.running(s)
	if err != nil {
		return err
	}
	if err := h.signal(syscall.SIGKILL, false); err != nil {
		return err
	}
	<-h.gone
	delete(w.hosts, s.host())
	return nil
}

func (w *world) interrupt(s step) error {
	h, err := w.running(s)
	if err != nil {
		return err
	}
	return h.signal(syscall.SIGINT, true)
}

func (w *world) hostEnded(s step) error {
	h, err := w.running(s)
	if err != nil {
		return err
	}
	code, err := h.ended(time.Duration(s.number("within", 15)) * time.Second)
	if err != nil {
		return err
	}
	delete(w.hosts, s.host())
	w.code = code
	if want, ok := s["code"]; ok {
		return match("the exit code", want, float64(code))
	}
	return nil
}

func (w *world) killEngine(s step) error {
	h, err := w.running(s)
	if err != nil {
		return err
	}
	pids := h.engines()
	if len(pids) != 1 {
		return fmt.Errorf("host %s has %d engines, want one", h.name, len(pids))
	}
	return syscall.Kill(pids[0], syscall.SIGKILL)
}

func (w *world) register(s step) error {
	st, err := w.server.Stream(streamName)
	if err != nil {
		return err
	}
	client := w.client()
	out, err := client.RegisterStreamConsumer(w.ctx, &kinesis.RegisterStreamConsumerInput{StreamARN: &st.ARN, ConsumerName: aws.String(s.text("as"))})
	if err != nil {
		return err
	}
	w.vars[s.text("as")] = *out.Consumer.ConsumerARN
	return w.until(10*time.Second, "the fan-out consumer to be active", func() bool {
		d, err := client.DescribeStreamConsumer(w.ctx, &kinesis.DescribeStreamConsumerInput{ConsumerARN: out.Consumer.ConsumerARN})
		return err == nil && d.ConsumerDescription.ConsumerStatus == "ACTIVE"
	})
}

// counted is what until and count look at.
func (w *world) counted(s step) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case s["records"] != nil:
		return w.account.distinct(w.onlyGroup(s))
	case s.text("fault") != "":
		return w.faults[s.text("fault")].Fired()
	}
	kind := s.text("kind")
	if of := s.text("of"); of != "" {
		kind += " " + s.host() + "/" + of
	}
	return w.counts[kind]
}

// onlyGroup is the group that a step names, or the one that there is.
func (w *world) onlyGroup(s step) string {
	if name := s.text("group"); name != "" {
		return name
	}
	for _, name := range w.groupOf {
		return name
	}
	return ""
}

func (w *world) untilCount(s step) error {
	switch {
	case s.flag("acknowledged"):
		return w.untilAcknowledged(s)
	case s.text("fault") != "" && w.faults[s.text("fault")] == nil:
		return fmt.Errorf("there is no fault %q", s.text("fault"))
	}
	want := s.number("records", s.number("events", 0))
	err := w.until(s.limit(), fmt.Sprintf("%d of what %s names", want, show(s)), func() bool { return w.counted(s) >= want })
	if err != nil {
		return fmt.Errorf("%w; there are %d", err, w.counted(s))
	}
	return nil
}

func (w *world) untilAcknowledged(s step) error {
	missing := 0
	err := w.until(s.limit(), "what was acknowledged", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		missing = len(w.account.missing(w.onlyGroup(s)))
		return missing == 0
	})
	if err != nil {
		return fmt.Errorf("%w: %d are missing", err, missing)
	}
	return nil
}

func (w *world) countEvents(s step) error {
	return match("the number of "+s.text("kind")+" events", s["events"], float64(w.counted(s)))
}

func (w *world) untilEvent(s step) error {
	kind, last := s.text("kind"), error(nil)
	err := w.until(s.limit(), "an event "+kind+" like "+show(s["where"]), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.events[kind] {
			if last = match(kind, s["where"], e); last == nil {
				return true
			}
		}
		return false
	})
	if err != nil {
		return fmt.Errorf("%w; the last one: %w", err, last)
	}
	return nil
}

func (w *world) audit(s step) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wrong) > 0 {
		return errors.Join(w.wrong...)
	}
	name, again := w.onlyGroup(s), s.flag("again")
	w.audited[name] = again
	return w.account.audit(name, again, len(w.faults) == 0)
}

// auditAgain looks once more at what has come to each group that was audited: what came
// late would not be seen otherwise.
func (w *world) auditAgain() error {
	if len(w.audited) == 0 {
		return nil
	}
	if err := w.rest(step{"ms": 300.0}); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var wrong []error
	for name, again := range w.audited {
		wrong = append(wrong, w.account.arrivals(name, again, len(w.faults) == 0))
	}
	return errors.Join(wrong...)
}

func (w *world) free(s step) error {
	rows := file.New(w.store())
	defer func() { _ = rows.Close() }()
	w.mu.Lock()
	name := w.onlyGroup(s)
	w.mu.Unlock()
	c, err := vegas.NewConsumer(streamName, name, func(o *vegas.ConsumerOptions) { o.AWS, o.Store = w.server.AWS(), rows })
	if err != nil {
		return err
	}
	said := ""
	err = w.until(s.limit(), "the shards of the group to be free", func() bool {
		state, err := c.Admin().Inspect(w.ctx, false)
		if err != nil {
			said = err.Error()
			return false
		}
		for _, l := range state.Leases {
			if l.Owner != "" {
				said = l.Shard + " is owned by " + l.Owner
				return false
			}
		}
		said = "there are no leases"
		return len(state.Leases) > 0
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func (w *world) join(s step) error {
	c, ok := w.waiting[s.text("of")]
	if !ok {
		return fmt.Errorf("nothing is called %q", s.text("of"))
	}
	delete(w.waiting, s.text("of"))
	return c.finish()
}

func (w *world) waits(s step) error {
	c, ok := w.waiting[s.text("of")]
	if !ok {
		return fmt.Errorf("nothing is called %q", s.text("of"))
	}
	if err := w.rest(s); err != nil {
		return err
	}
	select {
	case a := <-c.answer:
		return fmt.Errorf("%s has ended: %s", s.text("of"), show(a))
	default:
		return nil
	}
}

// rest waits for what must not happen.
func (w *world) rest(s step) error {
	select {
	case <-time.After(time.Duration(s.number("ms", 0)) * time.Millisecond):
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
	return nil
}
