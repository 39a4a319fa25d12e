package main

import (
	"fmt"
	"text/template"
)

// python counts durations in seconds.
var python = language{
	spell: template.FuncMap{"type": pythonType, "value": pythonValue, "bases": pythonBases},
	files: []file{{path: "bindings/python/vegas/_spec.py", text: pythonText}},
}

// pythonBases are those of an error's class. A timeout is one to whoever catches the
// language's own.
func pythonBases(e failure) string {
	if e.Code == "timeout" {
		return "VegasError, builtins.TimeoutError"
	}
	return "VegasError"
}

func pythonType(o option) string {
	switch o.Type {
	case "flag":
		return "bool"
	case "number", "size":
		return "int"
	case "duration":
		return "Duration"
	case "word":
		return "Literal[" + words(o, `"`, ", ") + "]"
	case "start":
		return "Start"
	case "list":
		return "Sequence[Mapping[str, Mapping[str, Any]]]"
	case "function":
		return "Callable[..., Any]"
	}
	return "str"
}

func pythonValue(o option) string {
	switch v := o.Value.(type) {
	case string:
		return quote(v)
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int64:
		if o.Type == "duration" {
			return seconds(o)
		}
		return fmt.Sprint(v)
	case []any:
		return "()"
	}
	return "None"
}

const pythonText = `# {{header}}
"""Numbers, options and errors of the bridge protocol."""

from __future__ import annotations

import builtins
from datetime import datetime, timedelta
from typing import (
    Any,
    Callable,
    Dict,
    Literal,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypedDict,
    Union,
)

PROTOCOL = {{.Protocol}}
FRAME_BYTES = {{.FrameBytes}}
VALUE_DEPTH = {{.ValueDepth}}
VALUE_BYTES = {{.ValueBytes}}
KEY_CHARACTERS = {{.KeyCharacters}}
KEY_BYTES = {{.KeyBytes}}
HELLO_TIMEOUT = {{.HelloTimeout}}  # microseconds

# Kinds of frames.
{{- range .Frames.InOrder}}
KIND_{{upper .Name}} = {{.N}}
{{- end}}

# What a report says of a record.
{{- range .Statuses.InOrder}}
STATUS_{{upper .Name}} = {{.N}}
{{- end}}

# Why the engine stops a shard.
{{- range .Reasons.InOrder}}
REASON_{{upper .Name}} = {{.N}}
{{- end}}

# Methods of calls.
{{- range .Methods}}
METHOD_{{upper .}} = {{quote .}}
{{- end}}

# A number is seconds.
Duration = Union[int, float, timedelta]
Start = Union[Literal["trim_horizon", "latest"], datetime]


class Option(NamedTuple):
    """An option: its type and default, in this language's terms."""

    name: str
    type: str
    default: Any
    words: Tuple[str, ...]
    host: bool  # the engine never hears of it
    doc: str
{{template "options" (options "producer" .Producer)}}
{{- template "options" (options "consumer" .Consumer)}}

class VegasError(Exception):
    """What went wrong, and what to do about it."""

    code = "failed"

    def __init__(
        self, text: str = "", remedy: Optional[str] = None, unknown: bool = False
    ) -> None:
        super().__init__(f"{text}: {remedy}" if remedy else text)
        self.text = text
        #: What to do, or None.
        self.remedy = remedy
        #: Whether the record may be in the stream all the same.
        self.unknown = unknown

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (self.text, self.remedy, self.unknown)
{{range .Errors}}

class {{pascal .Code}}Error({{bases .}}):
    """{{.Doc}}"""

    code = {{quote .Code}}
{{end}}

ERRORS: Dict[str, Type[VegasError]] = {
{{- range .Errors}}
    {{quote .Code}}: {{pascal .Code}}Error,
{{- end}}
}

{{- define "options"}}

class {{pascal .Of}}Options(TypedDict, total=False):
    """Options of a {{pascal .Of}}; give some as keyword arguments."""
{{range .All}}
    {{.Name}}: {{type .}}
    """{{.Doc}}"""
{{end}}

{{upper .Of}}_OPTIONS: Dict[str, Option] = {
{{- range .All}}
    {{quote .Name}}: Option(
        {{quote .Name}},
        {{quote .Type}},
        {{value .}},
        ({{range $i, $w := .Words}}{{if $i}} {{end}}{{quote $w}},{{end}}),
        {{if .Host}}True{{else}}False{{end}},
        {{quote .Doc}},
    ),
{{- end}}
}
{{end}}
`
