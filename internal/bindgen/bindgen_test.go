package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/libvegas/vegas"
)

const root = "../.."

func read(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, source))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestGeneratedFilesAreFresh fails when a language has fallen behind.
func TestGeneratedFilesAreFresh(t *testing.T) {
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for path, fresh := range files {
		have, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Errorf("%v: run make generate", err)
		} else if !bytes.Equal(have, fresh) {
			t.Errorf("%s is stale: run make generate", path)
		}
	}
}

// TestDocumentationSpellsNamesAsTheLanguageDoes leaves what is no option as it is.
func TestDocumentationSpellsNamesAsTheLanguageDoes(t *testing.T) {
	s := &spec{
		Errors:   []failure{{Doc: "Under fail_key, not under fail_lock."}},
		Producer: []option{{Name: "stats_every", Doc: "How often on_stats is called. AWS_REGION."}, {Name: "on_failure", Words: []string{"fail_key"}}},
		Consumer: []option{{Name: "on_stats", Doc: "Called every stats_every, from trim_horizon on."}},
	}
	for l, want := range map[*language]string{
		&python:     "Under fail_key, not under fail_lock. How often on_stats is called. AWS_REGION. Called every stats_every, from trim_horizon on.",
		&javascript: "Under fail_key, not under fail_lock. How often onStats is called. AWS_REGION. Called every statsEvery, from trim_horizon on.",
		&java:       "Under FAIL_KEY, not under fail_lock. How often onStats is called. AWS_REGION. Called every statsEvery, from TRIM_HORIZON on.",
		&csharp:     "Under FailKey, not under fail_lock. How often OnStats is called. AWS_REGION. Called every StatsEvery, from TrimHorizon on.",
	} {
		to := s.spelled(l.named, l.words)
		if got := to.Errors[0].Doc + " " + to.Producer[0].Doc + " " + to.Consumer[0].Doc; got != want {
			t.Errorf("%s: want %s", got, want)
		}
	}
}

// TestSpecIsStrict breaks the source in one place each.
func TestSpecIsStrict(t *testing.T) {
	text := string(read(t))
	for _, tt := range []struct{ name, old, new, want string }{
		{"an unknown field", `"protocol": 1,`, `"protocol": 1, "colour": 2,`, `unknown field "colour"`},
		{"an unknown field of an option", `"name": "linger",`, `"name": "linger", "unit": "s",`, `unknown field "unit"`},
		{"a second value", "\n}\n", "\n} {}", "something stands behind its end"},
		{"no limit", `"key_bytes": 1024,`, ``, "key_bytes is 0"},
		{"a number for two frames", `"report": 17`, `"report": 16`, "are both 16"},
		{"a method twice", `"check",`, `"flush",`, `"flush" is there twice`},
		{"no doc", `"doc": "The engine has ended."`, `"doc": ""`, "error engine_gone: doc"},
		{"markup in a doc", `The engine has ended.`, `The *engine* has ended.`, "error engine_gone: doc"},
		{"no code for the unknown", `"code": "failed"`, `"code": "fails"`, "failed is missing"},
		{"a name in another case", `"name": "linger"`, `"name": "lingerTime"`, `name "lingerTime"`},
		{"an unknown type", `"type": "start"`, `"type": "place"`, `type "place"`},
		{"a default of another type", `"default": 10000,`, `"default": "10 ms",`, "option linger: its default 10 ms is no duration"},
		{"half a microsecond", `"default": 10000,`, `"default": 0.5,`, "option linger: its default 0.5 is no duration"},
		{"a default that is no word of its own", `"default": "fail_record"`, `"default": "fail"`, "its default fail is no word"},
		{"words of something else", `"type": "word",`, `"type": "text",`, "others none"},
		{"a default for a function", `"default": null`, `"default": false`, "its default false is no function"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			broken := strings.Replace(text, tt.old, tt.new, 1)
			if broken == text {
				t.Fatalf("%q is not in the source", tt.old)
			}
			if _, err := readSpec([]byte(broken)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestDefaultsAreGos holds the defaults to those of the library, and each field
// of its options to one here.
func TestDefaultsAreGos(t *testing.T) {
	s, err := readSpec(read(t))
	if err != nil {
		t.Fatal(err)
	}
	// What engine and program have between them, and what only Go can give.
	apart := []string{
		"region", "endpoint", "profile", "AWS", "Kinesis", "engine",
		"on_stats", "stats_every", "Logger", "Observer",
	}

	var producer vegas.ProducerOptions
	p, err := vegas.NewProducer("orders", func(o *vegas.ProducerOptions) {
		producer = *o
		o.Logger = slog.New(slog.DiscardHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	compareDefaults(t, s.Producer, producer, append(apart,
		"close_timeout", // the context of Close
		"Buffer",        // Go code
	))

	var consumer vegas.ConsumerOptions
	if _, err := vegas.NewConsumer("orders", "billing", func(o *vegas.ConsumerOptions) { consumer = *o }); err != nil {
		t.Fatal(err)
	}
	compareDefaults(t, s.Consumer, consumer, append(apart,
		"window", "batch", "checkpoint", // the bridge's own
		"external", "Resume", // whether there is a function, and one
		"extensions",     // Use
		"Transactional",  // a transaction of the engine is out of the program's reach
		"store", "Store", // made of a text
		"start", "Start", // likewise
		"worker", "Worker", // a random one
		"dead_letter", "DeadLetter", // a function
	))
}

// goWords are the library's constants for words that are defaults.
var goWords = map[string]any{
	"on_failure=fail_record": vegas.FailRecord,
	"on_error=hold":          vegas.Hold,
	"on_trimmed=skip":        vegas.Skip,
}

func compareDefaults(t *testing.T, all []option, of any, apart []string) {
	t.Helper()
	v := reflect.ValueOf(of)
	var names []string
	for _, o := range all {
		if slices.Contains(apart, o.Name) {
			continue
		}
		name := pascal(o.Name)
		names = append(names, name)
		f := v.FieldByName(name)
		if !f.IsValid() {
			t.Errorf("option %s: %v has no field %s", o.Name, v.Type(), name)
			continue
		}
		have, want := f.Interface(), o.Value
		switch o.Type {
		case "duration":
			want = duration(o)
		case "word":
			want = goWords[o.Name+"="+o.Value.(string)]
		case "number", "size":
			have = f.Int()
		}
		if have != want {
			t.Errorf("option %s: its default is %v, that of %v is %v", o.Name, o.Value, v.Type(), have)
		}
	}
	for field := range v.Type().Fields() {
		if field.IsExported() && !slices.Contains(names, field.Name) && !slices.Contains(apart, field.Name) {
			t.Errorf("%v.%s is no option in protocol.json: other languages lack it", v.Type(), field.Name)
		}
	}
}
