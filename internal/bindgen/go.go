package main

import (
	"fmt"
	"go/format"
	"text/template"
	"time"
)

// golang is the engine's own side.
var golang = language{
	spell: template.FuncMap{
		"type":  goType,
		"value": goValue,
		"time":  func(us int64) string { return goDuration(microseconds(us)) },
		// crossing are the options that the engine is told of.
		"crossing": func(all []option) []option {
			var some []option
			for _, o := range all {
				if !o.Host {
					some = append(some, o)
				}
			}
			return some
		},
	},
	files: []file{{
		path:   "internal/bridge/spec.go",
		text:   goText,
		finish: func(fresh, _ []byte) ([]byte, error) { return format.Source(fresh) },
	}},
}

func goType(o option) string {
	switch o.Type {
	case "flag", "function":
		return "bool"
	case "number":
		return "int"
	case "size":
		return "int64"
	case "duration":
		return "time.Duration"
	case "start":
		return "any"
	case "list":
		return "[]any"
	}
	return "string"
}

// goValue is the default of an option, or nothing where it is Go's own.
func goValue(o option) string {
	switch v := o.Value.(type) {
	case bool:
		if v {
			return "true"
		}
	case int64:
		if v != 0 && o.Type == "duration" {
			return goDuration(duration(o))
		}
		if v != 0 {
			return goSize(v)
		}
	case string:
		if v != "" {
			return quote(v)
		}
	}
	return ""
}

func goSize(n int64) string {
	for shift := 30; shift > 0; shift -= 10 {
		if n%(1<<shift) == 0 {
			return fmt.Sprintf("%d << %d", n>>shift, shift)
		}
	}
	return fmt.Sprint(n)
}

func goDuration(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Minute, "Minute"}, {time.Second, "Second"}, {time.Millisecond, "Millisecond"}} {
		if d%u.unit == 0 {
			return fmt.Sprintf("%d * time.%s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%d * time.Microsecond", d.Microseconds())
}

const goText = `// {{header}}

package bridge

import "time"

// Version and limits of the protocol.
const (
	protocolVersion = {{.Protocol}}
	frameBytes      = {{.FrameBytes}} // bytes of kind and body
	valueDepth      = {{.ValueDepth}} // of values in values
	valueBytes      = {{.ValueBytes}} // of one that is not in another
	keyCharacters   = {{.KeyCharacters}}
	keyBytes        = {{.KeyBytes}}
	helloTimeout    = {{time .HelloTimeout}}
)

// Kinds of frames.
const (
{{- range .Frames.InOrder}}
	kind{{pascal .Name}} = {{.N}}
{{- end}}
)

// What a report says of a record.
const (
{{- range .Statuses.InOrder}}
	status{{pascal .Name}} = {{.N}}
{{- end}}
)

// Why the engine stops a shard.
const (
{{- range .Reasons.InOrder}}
	reason{{pascal .Name}} = {{.N}}
{{- end}}
)

// Methods of calls.
const (
{{- range .Methods}}
	method{{pascal .}} = {{quote .}}
{{- end}}
)

// Codes of errors.
const (
{{- range .Errors}}
{{comment "\t// " .Doc}}
	code{{pascal .Code}} = {{quote .Code}}
{{- end}}
)

// optionField is one option by the name that hosts give it.
type optionField struct {
	name  string
	words []string // that it may be, if it is a word
	into  any      // points to its field
}
{{template "options" (options "producer" (crossing .Producer))}}
{{template "options" (options "consumer" (crossing .Consumer))}}

{{- define "options"}}
{{- $type := printf "%sOptions" .Of}}
// {{$type}} are the arguments of open_{{.Of}}, of which hosts give some.
type {{$type}} struct {
{{- range .All}}
{{comment "\t// " .Doc}}
	{{pascal .Name}} {{type .}}
{{- end}}
}

// default{{pascal .Of}}Options are those of a host that gives none.
func default{{pascal .Of}}Options() {{$type}} {
	return {{$type}}{
	{{- range $o := .All}}{{with value $o}}
		{{pascal $o.Name}}: {{.}},
	{{- end}}{{end}}
	}
}

func (o *{{$type}}) fields() []optionField {
	return []optionField{
	{{- range .All}}
		{name: {{quote .Name}}, {{with .Words}}words: []string{ {{range .}}{{quote .}}, {{end}} }, {{end}}into: &o.{{pascal .Name}}},
	{{- end}}
	}
}
{{end}}`
