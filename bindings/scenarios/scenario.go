//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// set is what scenarios.json has.
type set struct {
	Languages []string   `json:"languages"`
	Scenarios []scenario `json:"scenarios"`
}

// scenario is a story that every language has to tell in the same way.
type scenario struct {
	// Name is for the table and the command line, Title for readers.
	Name  string `json:"name"`
	Title string `json:"title"`
	// Short ones are part of every check.
	Short bool `json:"short,omitempty"`
	// Except are languages that it does not apply to, and why.
	Except map[string]string `json:"except,omitempty"`
	// Shards of the stream; 0 is 1.
	Shards int `json:"shards,omitempty"`
	// Limits are those of the service on throughput.
	Limits bool `json:"limits,omitempty"`
	// RecordBytes is the stream's MaxRecordSize; 0 is 1 MiB.
	RecordBytes int64  `json:"record_bytes,omitempty"`
	Steps       []step `json:"steps"`
}

// two says that a host speaks another language than the one under test.
func (sc *scenario) two() bool {
	return slices.ContainsFunc(sc.Steps, func(s step) bool { return s.text("language") == "other" })
}

// step is one thing that the runner does, or tells a driver to do: the verb "do",
// what is common to all verbs, and the verb's own arguments.
type step map[string]any

// common are the fields that any step may have: the host it concerns, what its answer
// has to be, or its error, the name to join it by if nobody is to wait for it, and how
// many seconds it may take; whether its host is killed meanwhile; and in which
// languages it is meant to come to something else than in the others, and why.
var common = []string{"do", "host", "want", "error", "async", "timeout", "killed", "differs"}

// verb is a word that steps are made of.
type verb struct {
	args []string
	// by is how the runner does it; nil: the driver does.
	by func(w *world, s step) error
}

var driverVerbs = map[string][]string{
	"producer":   {"as", "stream", "options"},
	"consumer":   {"as", "stream", "group", "options", "behave"},
	"send":       {"to", "records", "wait"},
	"many":       {"to", "count", "keys", "size", "from", "prefix", "wait", "tell"},
	"flush":      {"of", "limit"},
	"close":      {"of", "limit"},
	"check":      {"of"},
	"stats":      {"of"},
	"wait":       {"of", "limit"},
	"release":    {"of"},
	"checkpoint": {"of", "data"},
	"misuse":     {"to", "what"},
	"fork":       {"to", "records"},
	"local":      {"as", "streams"},
	"exit":       {},
}

// behaviours are what handlers of a driver can be told to do.
var behaviours = []string{"hold", "fail", "times", "pause", "keep", "die", "checkpoint_every"}

func (s step) text(name string) string { t, _ := s[name].(string); return t }

func (s step) host() string {
	if h := s.text("host"); h != "" {
		return h
	}
	return "a"
}

func (s step) number(name string, otherwise int) int {
	if f, ok := s[name].(float64); ok {
		return int(f)
	}
	return otherwise
}

func (s step) flag(name string) bool { b, _ := s[name].(bool); return b }

func (s step) limit() time.Duration {
	return time.Duration(s.number("timeout", 30)) * time.Second
}

// option is how one crosses to a driver, which knows by the type what to make of it:
// durations are microseconds.
type option struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

// protocol is what is needed of protocol.json: types of options by name, and codes.
type protocol struct {
	producer, consumer map[string]string
	codes              []string
}

func readProtocol(root string) (*protocol, error) {
	text, err := os.ReadFile(filepath.Join(root, "bindings", "protocol.json"))
	if err != nil {
		return nil, err
	}
	var in struct {
		Producer, Consumer []struct{ Name, Type string }
		Errors             []struct{ Code string }
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, err
	}
	p := &protocol{producer: map[string]string{}, consumer: map[string]string{}}
	for _, o := range in.Producer {
		p.producer[o.Name] = o.Type
	}
	for _, o := range in.Consumer {
		p.consumer[o.Name] = o.Type
	}
	for _, e := range in.Errors {
		p.codes = append(p.codes, e.Code)
	}
	return p, nil
}

// options are those of a step, as they cross.
func (p *protocol) options(verb string, given any) ([]option, error) {
	types := p.producer
	if verb == "consumer" {
		types = p.consumer
	}
	named, _ := given.(map[string]any)
	out := []option{}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		o := option{Name: name, Type: types[name], Value: named[name]}
		switch v := o.Value.(type) {
		case string:
			if o.Type == "duration" {
				d, err := time.ParseDuration(v)
				if err != nil {
					return nil, fmt.Errorf("option %s: %w", name, err)
				}
				o.Value = d.Microseconds()
			}
		case float64:
			if o.Type == "" {
				o.Type = "number"
			}
		}
		if o.Type == "" { // there is no such option, which is the point then
			o.Type = "text"
		}
		out = append(out, o)
	}
	return out, nil
}

func readSet(root string) (*set, error) {
	text, err := os.ReadFile(filepath.Join(root, "bindings", "scenarios", "scenarios.json"))
	if err != nil {
		return nil, err
	}
	p, err := readProtocol(root)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var s set
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("scenarios.json: %w", err)
	}
	var wrong []error
	names := map[string]bool{}
	for i := range s.Scenarios {
		sc := &s.Scenarios[i]
		if names[sc.Name] {
			wrong = append(wrong, fmt.Errorf("%s: there are two of that name", sc.Name))
		}
		names[sc.Name] = true
		if err := sc.check(p, s.Languages); err != nil {
			wrong = append(wrong, fmt.Errorf("scenarios.json: %s: %w", sc.Name, err))
		}
	}
	return &s, errors.Join(wrong...)
}

func (sc *scenario) check(p *protocol, languages []string) error {
	var wrong []error
	if sc.Title == "" || len(sc.Steps) == 0 {
		wrong = append(wrong, errors.New("it lacks a title, or steps"))
	}
	for l, why := range sc.Except {
		if !slices.Contains(languages, l) || why == "" {
			wrong = append(wrong, fmt.Errorf("except %q: no such language, or no reason", l))
		}
	}
	for i, s := range sc.Steps {
		differs, _ := s["differs"].(map[string]any)
		for l, why := range differs {
			if !slices.Contains(languages, l) || why == "" {
				wrong = append(wrong, fmt.Errorf("step %d differs in %q: no such language, or no reason", i+1, l))
			}
		}
		if err := s.check(p); err != nil {
			wrong = append(wrong, fmt.Errorf("step %d: %w", i+1, err))
		}
	}
	return errors.Join(wrong...)
}

func (s step) check(p *protocol) error {
	do := s.text("do")
	args, ok := driverVerbs[do]
	if !ok {
		v, own := runnerVerbs()[do]
		if !own {
			return fmt.Errorf("there is no verb %q", do)
		}
		args = v.args
	}
	for name := range s {
		if !slices.Contains(common, name) && !slices.Contains(args, name) {
			return fmt.Errorf("%s has no %q: it has %s", do, name, strings.Join(args, ", "))
		}
	}
	if b, ok := s["behave"].(map[string]any); ok {
		for name := range b {
			if !slices.Contains(behaviours, name) {
				return fmt.Errorf("handlers cannot %q: they can %s", name, strings.Join(behaviours, ", "))
			}
		}
	}
	if size := s.number("size", 0); do == "many" && size > textBytes {
		return fmt.Errorf("many: records have %d bytes at most, so that drivers tell their text", textBytes)
	}
	if e, ok := s["error"].(map[string]any); ok {
		if code, ok := e["code"].(string); ok && code != own && !slices.Contains(p.codes, code) {
			return fmt.Errorf("there is no error code %q", code)
		}
	}
	_, err := p.options(do, s["options"])
	return err
}

// own is the code of errors that are not vegas' but the language's: of a wrong type.
const own = "own"
