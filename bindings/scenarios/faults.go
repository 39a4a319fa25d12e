//go:build linux

package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/libvegas/vegas/localkinesis"
)

func (w *world) active() error {
	return w.until(10*time.Second, "the stream to be active", func() bool {
		st, err := w.server.Stream(streamName)
		return err == nil && st.Status == "ACTIVE"
	})
}

func (w *world) split(s step) error {
	if _, _, err := w.server.Split(streamName, s.text("shard"), ""); err != nil {
		return err
	}
	return w.active()
}

func (w *world) merge(s step) error {
	pair, _ := s["shards"].([]any)
	if len(pair) != 2 {
		return errors.New("merge wants two shards")
	}
	one, _ := pair[0].(string)
	two, _ := pair[1].(string)
	if _, err := w.server.Merge(streamName, one, two); err != nil {
		return err
	}
	return w.active()
}

func (w *world) inject(s step) error {
	rate := func(name string) float64 { f, _ := s[name].(float64); return f }
	delay := time.Duration(0)
	if text := s.text("delay"); text != "" {
		var err error
		if delay, err = time.ParseDuration(text); err != nil {
			return err
		}
	}
	w.never[s.text("as")] = s.flag("never")
	w.faults[s.text("as")] = w.server.Inject(localkinesis.Fault{
		Do: localkinesis.Kind(s.text("kind")), Op: s.text("op"), Stream: streamName, Shard: s.text("shard"), Code: s.text("code"),
		Count: s.number("count", 0), After: s.number("after", 0), Requests: s.number("requests", 0),
		Rate: rate("rate"), EntryRate: rate("entry_rate"), Delay: delay,
	})
	return nil
}

func (w *world) heal(s step) error {
	f := w.faults[s.text("as")]
	if f == nil {
		return fmt.Errorf("there is no fault %q", s.text("as"))
	}
	f.Remove()
	return w.tried(s.text("as"))
}

// tried sees that a fault has happened, or has not where it must never.
func (w *world) tried(fault string) error {
	switch n := w.faults[fault].Fired(); {
	case w.never[fault] && n > 0:
		return fmt.Errorf("the fault %q, which must never happen, has happened %d times", fault, n)
	case !w.never[fault] && n == 0:
		return fmt.Errorf("the fault %q has never happened, so nothing was tried", fault)
	}
	return nil
}
