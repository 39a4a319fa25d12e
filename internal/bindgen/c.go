package main

import (
	"fmt"
	"strings"
	"text/template"
)

// plainC has codes and options for its users in one header, the protocol's numbers for
// itself in another one. Texts are what options are set by: "10ms".
var plainC = language{
	spell: template.FuncMap{
		"number": cNumber,
		"type":   func(o option) string { return strings.ToUpper(o.Type) },
		"words":  func(o option) string { return quote(strings.Join(o.Words, " ")) },
		"text":   cText,
		"plain":  cPlainType,
		"set":    func(o option) bool { return o.Type != "function" && !o.Host },
	},
	files: []file{
		{path: "bindings/c/include/vegas_spec.h", text: cPublicText},
		{path: "bindings/c/src/spec.h", text: cNumbersText},
		{path: "bindings/c/src/spec.c", text: cTablesText},
	},
}

// cNumber is a default that is a number, or a flag; 0 where it is neither.
func cNumber(o option) string {
	switch v := o.Value.(type) {
	case int64:
		return fmt.Sprint(v)
	case bool:
		if v {
			return "1"
		}
	}
	return "0"
}

// cText is a default as one would write it.
func cText(o option) string {
	switch v := o.Value.(type) {
	case string:
		return v
	case bool:
		return fmt.Sprint(v)
	case int64:
		switch o.Type {
		case "duration":
			return strings.ReplaceAll(plainDuration(duration(o)), " ", "")
		case "size":
			return strings.ReplaceAll(plainSize(v), " ", "")
		}
		return fmt.Sprint(v)
	case []any:
		return "[]"
	}
	return ""
}

func cPlainType(o option) string {
	switch o.Type {
	case "word":
		return words(o, "", ", ")
	case "start":
		return "trim_horizon, latest, a time"
	case "list":
		return "JSON"
	}
	return o.Type
}

const cPublicText = `/* {{header}} */
#ifndef VEGAS_SPEC_H
#define VEGAS_SPEC_H

/* What went wrong. A later engine's code that is not among these comes as
 * VEGAS_FAILED. */
typedef enum vegas_code {
	VEGAS_OK = 0,
{{- range .Errors}}
	/* {{.Doc}} */
	VEGAS_{{upper .Code}},
{{- end}}
	VEGAS_CODES /* how many there are */
} vegas_code;

/* What became of a record. */
typedef enum vegas_status {
{{- range .Statuses.InOrder}}
	VEGAS_{{upper .Name}} = {{.N}},
{{- end}}
} vegas_status;

/* Why nothing further of a shard is begun. */
typedef enum vegas_stop {
	VEGAS_STOP_NONE = 0,
{{- range .Reasons.InOrder}}
	VEGAS_STOP_{{upper .Name}} = {{.N}},
{{- end}}
} vegas_stop;
{{template "options" (options "producer" .Producer)}}
{{- template "options" (options "consumer" .Consumer)}}
#endif
{{define "options"}}
/* Options of a {{.Of}}, by vegas_options_set:
 *
{{- range .All}}{{if set .}}
 * {{.Name}} ({{plain .}}{{with text .}}; {{.}}{{end}})
{{comment " *     " .Doc}}
{{- end}}{{end}}
 */
{{end}}`

const cNumbersText = `/* {{header}} */
#ifndef VGS_SPEC_H
#define VGS_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "vegas_spec.h"

#define VGS_PROTOCOL {{.Protocol}}
#define VGS_FRAME_BYTES {{.FrameBytes}}
#define VGS_VALUE_DEPTH {{.ValueDepth}}
#define VGS_VALUE_BYTES {{.ValueBytes}}
#define VGS_KEY_CHARACTERS {{.KeyCharacters}}
#define VGS_KEY_BYTES {{.KeyBytes}}
#define VGS_HELLO_TIMEOUT {{.HelloTimeout}} /* microseconds */

/* Kinds of frames. */
enum {
{{- range .Frames.InOrder}}
	VGS_KIND_{{upper .Name}} = {{.N}},
{{- end}}
};

/* Methods of calls. */
{{- range .Methods}}
#define VGS_METHOD_{{upper .}} {{quote .}}
{{- end}}

/* What an option may be. */
enum vgs_type {
	VGS_TEXT,
	VGS_FLAG,
	VGS_NUMBER,
	VGS_SIZE,
	VGS_DURATION,
	VGS_WORD,
	VGS_START,
	VGS_LIST,
	VGS_FUNCTION,
};

struct vgs_option {
	const char *name;
	enum vgs_type type;
	int host;           /* the engine never hears of it */
	int64_t otherwise;  /* the default of a number or a flag */
	const char *words;  /* with blanks between them */
};

extern const struct vgs_option vgs_producer_options[];
extern const size_t vgs_producer_option_count;
extern const struct vgs_option vgs_consumer_options[];
extern const size_t vgs_consumer_option_count;

/* Names of codes, by their numbers. */
extern const char *const vgs_codes[VEGAS_CODES];

#endif
`

const cTablesText = `/* {{header}} */
#include "spec.h"

const char *const vgs_codes[VEGAS_CODES] = {
	"ok",
{{- range .Errors}}
	{{quote .Code}},
{{- end}}
};
{{template "options" (options "producer" .Producer)}}
{{- template "options" (options "consumer" .Consumer)}}
{{- define "options"}}
const struct vgs_option vgs_{{.Of}}_options[] = {
{{- range .All}}
	{ {{- quote .Name}}, VGS_{{type .}}, {{if .Host}}1{{else}}0{{end}}, {{number .}}, {{words . -}} },
{{- end}}
};
const size_t vgs_{{.Of}}_option_count = sizeof vgs_{{.Of}}_options / sizeof *vgs_{{.Of}}_options;
{{end}}`
