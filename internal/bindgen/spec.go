package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// spec is protocol.json.
type spec struct {
	Protocol      int64     `json:"protocol"`
	FrameBytes    int64     `json:"frame_bytes"`
	ValueDepth    int64     `json:"value_depth"`
	ValueBytes    int64     `json:"value_bytes"`
	KeyCharacters int64     `json:"key_characters"`
	KeyBytes      int64     `json:"key_bytes"`
	HelloTimeout  int64     `json:"hello_timeout"` // microseconds
	Frames        numbers   `json:"frames"`
	Statuses      numbers   `json:"statuses"`
	Reasons       numbers   `json:"reasons"`
	Methods       []string  `json:"methods"`
	Errors        []failure `json:"errors"`
	Producer      []option  `json:"producer"`
	Consumer      []option  `json:"consumer"`
}

// numbers are names of numbers.
type numbers map[string]uint8

type number struct {
	Name string
	N    uint8
}

// InOrder are the names by their numbers.
func (n numbers) InOrder() []number {
	var all []number
	for _, name := range slices.SortedFunc(maps.Keys(n), func(a, b string) int { return cmp.Compare(n[a], n[b]) }) {
		all = append(all, number{name, n[name]})
	}
	return all
}

// failure is an error code.
type failure struct {
	Code string `json:"code"`
	Doc  string `json:"doc"`
}

// option is one of open_producer or open_consumer.
type option struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Value is the default: string, bool, int64 or []any, nil of a function.
	Value any      `json:"default"`
	Words []string `json:"words"` // of type word
	// Host options are the binding's own, the engine never hears of them.
	Host bool   `json:"host"`
	Doc  string `json:"doc"`
}

// readSpec takes nothing that it does not know: what a reader passes over, some
// language would lack.
func readSpec(text []byte) (*spec, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	d.UseNumber()
	s := &spec{}
	if err := d.Decode(s); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something stands behind its end")
	}
	return s, s.check()
}

var (
	aName = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	aDoc  = regexp.MustCompile(`^[^\s|\x60"\\*<>][^\n|\x60"\\*<>]*\.$`)
)

// check completes defaults, and tells all that is wrong at once.
func (s *spec) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	for name, n := range map[string]int64{
		"protocol": s.Protocol, "frame_bytes": s.FrameBytes, "value_depth": s.ValueDepth, "value_bytes": s.ValueBytes,
		"key_characters": s.KeyCharacters, "key_bytes": s.KeyBytes, "hello_timeout": s.HelloTimeout,
	} {
		if n <= 0 {
			wrong("%s is %d: want more than 0", name, n)
		}
	}
	names := func(where string, list []string) {
		seen := map[string]bool{}
		for _, name := range list {
			if !aName.MatchString(name) {
				wrong("%s: name %q: want lower-case words joined by _", where, name)
			}
			if seen[name] {
				wrong("%s: %q is there twice", where, name)
			}
			seen[name] = true
		}
		if len(list) == 0 {
			wrong("%s: there are none", where)
		}
	}
	doc := func(where, text string) {
		if !aDoc.MatchString(text) {
			wrong("%s: doc %q: want sentences, on one line and without markup or quotes", where, text)
		}
	}
	for where, n := range map[string]numbers{"frames": s.Frames, "statuses": s.Statuses, "reasons": s.Reasons} {
		list := slices.Sorted(maps.Keys(n))
		names(where, list)
		by := map[uint8]string{}
		for _, name := range list {
			if other := by[n[name]]; other != "" {
				wrong("%s: %s and %s are both %d", where, other, name, n[name])
			}
			by[n[name]] = name
		}
	}
	names("methods", s.Methods)
	var codes []string
	for _, e := range s.Errors {
		codes = append(codes, e.Code)
		doc("error "+e.Code, e.Doc)
	}
	names("errors", codes)
	if !slices.Contains(codes, "failed") {
		wrong("errors: failed is missing, which stands for those that a reader does not know")
	}
	for where, options := range map[string][]option{"producer": s.Producer, "consumer": s.Consumer} {
		var list []string
		for i := range options {
			o := &options[i]
			list = append(list, o.Name)
			doc(where+" option "+o.Name, o.Doc)
			if err := o.check(); err != nil {
				wrong("%s option %s: %w", where, o.Name, err)
			}
		}
		names(where, list)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// types are what an option may be, and whether a default is of it.
var types = map[string]func(o *option) bool{
	"text":     func(o *option) bool { _, ok := o.Value.(string); return ok },
	"flag":     func(o *option) bool { _, ok := o.Value.(bool); return ok },
	"number":   (*option).whole,
	"size":     (*option).whole, // bytes
	"duration": (*option).whole, // microseconds
	"word":     func(o *option) bool { w, ok := o.Value.(string); return ok && slices.Contains(o.Words, w) },
	"start":    func(o *option) bool { return o.Value == "trim_horizon" || o.Value == "latest" },
	"list":     func(o *option) bool { l, ok := o.Value.([]any); return ok && len(l) == 0 },
	// A function of the program. The engine is told whether there is one.
	"function": func(o *option) bool { return o.Value == nil },
}

func (o *option) whole() bool {
	n, ok := o.Value.(json.Number)
	if !ok {
		return false
	}
	i, err := n.Int64()
	if err != nil || i < 0 {
		return false
	}
	o.Value = i
	return true
}

func (o *option) check() error {
	fits, ok := types[o.Type]
	switch {
	case !ok:
		return fmt.Errorf("type %q: want one of %s", o.Type, strings.Join(slices.Sorted(maps.Keys(types)), ", "))
	case (o.Type == "word") != (len(o.Words) > 0):
		return fmt.Errorf("type %s with %d words: words have some, others none", o.Type, len(o.Words))
	case !fits(o):
		return fmt.Errorf("its default %v is no %s", o.Value, o.Type)
	}
	for _, w := range o.Words {
		if !aName.MatchString(w) {
			return fmt.Errorf("word %q: want lower-case words joined by _", w)
		}
	}
	return nil
}
