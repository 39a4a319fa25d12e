package main

import (
	"fmt"
	"strings"
	"text/template"
)

// javascript counts durations in milliseconds. Its module format is CommonJS,
// which ES modules can import and the other way round cannot.
var javascript = language{
	spell: template.FuncMap{"type": typeScriptType, "value": javaScriptValue, "single": single},
	named: camel,
	files: []file{
		{path: "bindings/js/lib/spec.js", text: javaScriptText},
		{path: "bindings/js/lib/spec.d.ts", text: typeScriptText},
	},
}

func single(text string) string { return "'" + strings.ReplaceAll(text, "'", `\'`) + "'" }

func typeScriptType(o option) string {
	switch o.Type {
	case "flag":
		return "boolean"
	case "number", "size", "duration":
		return "number"
	case "word":
		return words(o, "'", " | ")
	case "start":
		return "'trim_horizon' | 'latest' | Date"
	case "list":
		return "Array<Record<string, Record<string, unknown>>>"
	case "function":
		return "(...args: any[]) => unknown"
	}
	return "string"
}

func javaScriptValue(o option) string {
	switch v := o.Value.(type) {
	case string:
		return single(v)
	case int64:
		if o.Type == "duration" {
			return fmt.Sprint(float64(duration(o).Microseconds()) / 1000)
		}
		return fmt.Sprint(v)
	case bool, []any:
		return fmt.Sprint(v)
	}
	return "undefined"
}

const javaScriptText = `// {{header}}
'use strict';

/** Numbers, options and errors of the bridge protocol. */

const PROTOCOL = {{.Protocol}};
const FRAME_BYTES = {{.FrameBytes}};
const VALUE_DEPTH = {{.ValueDepth}};
const VALUE_BYTES = {{.ValueBytes}};
const KEY_CHARACTERS = {{.KeyCharacters}};
const KEY_BYTES = {{.KeyBytes}};
const HELLO_TIMEOUT = {{.HelloTimeout}}; // microseconds

/** Kinds of frames. */
const KIND = Object.freeze({
{{- range .Frames.InOrder}}
  {{upper .Name}}: {{.N}},
{{- end}}
});

/** What a report says of a record. */
const STATUS = Object.freeze({
{{- range .Statuses.InOrder}}
  {{upper .Name}}: {{.N}},
{{- end}}
});

/** Why the engine stops a shard. */
const REASON = Object.freeze({
{{- range .Reasons.InOrder}}
  {{upper .Name}}: {{.N}},
{{- end}}
});

/** Methods of calls. */
const METHOD = Object.freeze({
{{- range .Methods}}
  {{upper .}}: {{single .}},
{{- end}}
});

/**
 * Options by their names here: wire is the protocol's name, value the default,
 * host says that the engine never hears of it.
 */
const PRODUCER_OPTIONS = Object.freeze({
{{template "options" .Producer -}}
});

const CONSUMER_OPTIONS = Object.freeze({
{{template "options" .Consumer -}}
});

/** What went wrong, and what to do about it. */
class VegasError extends Error {
  constructor(text = '', { remedy, unknown = false, cause } = {}) {
    super(remedy ? ` + "`${text}: ${remedy}`" + ` : text, cause === undefined ? undefined : { cause });
    this.text = text;
    this.remedy = remedy;
    this.unknown = unknown;
  }

  get name() {
    return this.constructor.name;
  }

  get code() {
    return 'failed';
  }
}
{{range .Errors}}
/** {{.Doc}} */
class {{pascal .Code}}Error extends VegasError {
  get code() {
    return {{single .Code}};
  }
}
{{end}}
/** Classes of errors by their codes. */
const ERRORS = Object.freeze({
{{- range .Errors}}
  {{.Code}}: {{pascal .Code}}Error,
{{- end}}
});

module.exports = {
  PROTOCOL,
  FRAME_BYTES,
  VALUE_BYTES,
  VALUE_DEPTH,
  KEY_CHARACTERS,
  KEY_BYTES,
  HELLO_TIMEOUT,
  KIND,
  STATUS,
  REASON,
  METHOD,
  PRODUCER_OPTIONS,
  CONSUMER_OPTIONS,
  ERRORS,
  VegasError,
{{- range .Errors}}
  {{pascal .Code}}Error,
{{- end}}
};
{{define "options"}}
{{- range .}}  {{camel .Name}}: Object.freeze({
    wire: {{single .Name}},
    type: {{single .Type}},
    value: {{value .}},
    words: [{{range $i, $w := .Words}}{{if $i}}, {{end}}{{single $w}}{{end}}],
    host: {{.Host}},
  }),
{{end}}{{end}}`

const typeScriptText = `// {{header}}

/** What went wrong, and what to do about it. */
export class VegasError extends Error {
  constructor(text?: string, details?: { remedy?: string; unknown?: boolean; cause?: unknown });
  readonly code: ErrorCode;
  /** The message without the remedy. */
  readonly text: string;
  /** What to do. */
  readonly remedy?: string;
  /** Whether the record may be in the stream all the same. */
  readonly unknown: boolean;
}
{{range .Errors}}
/** {{.Doc}} */
export class {{pascal .Code}}Error extends VegasError {
  readonly code: {{single .Code}};
}
{{end}}
export type ErrorCode =
{{- range .Errors}}
  | {{single .Code}}
{{- end}};
{{template "options" (options "producer" .Producer)}}
{{- template "options" (options "consumer" .Consumer)}}
{{- define "options"}}
/** Options of a {{pascal .Of}}. Durations are milliseconds, sizes are bytes. */
export interface {{pascal .Of}}Options {
{{- range .All}}
  /**
{{comment "   * " .Doc}}
   {{- if or .Words (not (eq .Type "function" "text"))}}
   * @default {{value .}}
   {{- end}}
   */
  {{camel .Name}}?: {{type .}};
{{- end}}
}
{{end}}`
