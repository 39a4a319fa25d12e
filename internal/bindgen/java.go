package main

import (
	"fmt"
	"strings"
	"text/template"
)

// java has durations of its own, and enums for words. Whether a handler takes batches
// is told there by the handler's type.
var java = language{
	spell: template.FuncMap{
		"type": javaType, "value": javaValue, "default": javaDefault,
		"settable": func(o option) bool { return o.Name != "batch" },
	},
	named: camel, words: strings.ToUpper,
	files: []file{
		{path: "bindings/java/src/main/java/io/libvegas/internal/Spec.java", text: javaSpecText},
		{path: "bindings/java/src/main/java/io/libvegas/VegasException.java", text: javaExceptionText},
		{path: "bindings/java/src/main/java/io/libvegas/ProducerOptions.java", text: `{{template "options" (options "producer" .Producer)}}` + javaOptionsText},
		{path: "bindings/java/src/main/java/io/libvegas/ConsumerOptions.java", text: `{{template "options" (options "consumer" .Consumer)}}` + javaOptionsText},
	},
}

func javaType(o option) string {
	switch o.Type {
	case "flag":
		return "boolean"
	case "number":
		return "int"
	case "size":
		return "long"
	case "duration":
		return "Duration"
	case "start":
		return "Start"
	case "list":
		return "java.util.List<? extends java.util.Map<String, ?>>"
	case "word", "function":
		return pascal(o.Name)
	}
	return "String"
}

// javaValue is a default as it crosses.
func javaValue(o option) string {
	switch v := o.Value.(type) {
	case string:
		return quote(v)
	case bool:
		return fmt.Sprint(v)
	case int64:
		return fmt.Sprint(v, "L")
	case []any:
		return "List.of()"
	}
	return "null"
}

// javaDefault is a default as its documentation says it.
func javaDefault(o option) string {
	switch v := o.Value.(type) {
	case string:
		if v == "" {
			return ""
		}
		return "{@code " + v + "}"
	case bool:
		return fmt.Sprint(v)
	}
	return plainValue(o)
}

const javaSpecText = `// {{header}}

package io.libvegas.internal;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Numbers and options of the bridge protocol. */
public final class Spec {
    public static final int PROTOCOL = {{.Protocol}};
    public static final int FRAME_BYTES = {{.FrameBytes}};
    public static final int VALUE_DEPTH = {{.ValueDepth}};
    public static final int VALUE_BYTES = {{.ValueBytes}};
    public static final int KEY_CHARACTERS = {{.KeyCharacters}};
    public static final int KEY_BYTES = {{.KeyBytes}};
    /** In microseconds. */
    public static final long HELLO_TIMEOUT = {{.HelloTimeout}}L;

    // Kinds of frames.
{{- range .Frames.InOrder}}
    public static final int KIND_{{upper .Name}} = {{.N}};
{{- end}}

    // What a report says of a record.
{{- range .Statuses.InOrder}}
    public static final int STATUS_{{upper .Name}} = {{.N}};
{{- end}}

    // Why the engine stops a shard.
{{- range .Reasons.InOrder}}
    public static final int REASON_{{upper .Name}} = {{.N}};
{{- end}}

    // Methods of calls.
{{- range .Methods}}
    public static final String METHOD_{{upper .}} = {{quote .}};
{{- end}}

    /**
     * An option: its name in the protocol, its type, and its default as it crosses. The
     * engine never hears of those that are the host's.
     */
    public record Option(String name, String type, Object value, List<String> words, boolean host) {}

    /** Options of a producer, by their names in the protocol. */
    public static final Map<String, Option> PRODUCER = table(
{{template "table" .Producer}});

    /** Options of a consumer, by their names in the protocol. */
    public static final Map<String, Option> CONSUMER = table(
{{template "table" .Consumer}});

    private Spec() {}

    private static Map<String, Option> table(Option... options) {
        Map<String, Option> table = new LinkedHashMap<>();
        for (Option o : options) {
            table.put(o.name(), o);
        }
        return Collections.unmodifiableMap(table);
    }
}
{{define "table"}}
{{- range $i, $o := .}}{{if $i}},
{{end}}            new Option({{quote .Name}}, {{quote .Type}}, {{value .}}, List.of({{range $j, $w := .Words}}{{if $j}}, {{end}}{{quote $w}}{{end}}), {{.Host}})
{{- end}}{{end}}`

const javaExceptionText = `// {{header}}

package io.libvegas;

/** What went wrong, and what to do about it. Each code has a class in here. */
public abstract class VegasException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final String code;
    private final String text;
    private final String remedy;
    private final boolean unknown;

    VegasException(String code, String text, String remedy, boolean unknown, Throwable cause) {
        super(remedy == null ? text : text + ": " + remedy, cause);
        this.code = code;
        this.text = text;
        this.remedy = remedy;
        this.unknown = unknown;
    }

    /** The code, as in all languages. */
    public String code() {
        return code;
    }

    /** The message without the remedy. */
    public String text() {
        return text;
    }

    /** What to do, or null. */
    public String remedy() {
        return remedy;
    }

    /** Whether the record may be in the stream all the same. */
    public boolean unknown() {
        return unknown;
    }

    /** The exception of a code; one that this release does not know is {@link Failed}. */
    public static VegasException of(String code, String text, String remedy, boolean unknown, Throwable cause) {
        return switch (code) {
{{- range .Errors}}{{if ne .Code "failed"}}
            case {{quote .Code}} -> new {{pascal .Code}}(text, remedy, unknown, cause);
{{- end}}{{end}}
            default -> new Failed(text, remedy, unknown, cause);
        };
    }
{{range .Errors}}
    /** {{.Doc}} */
    public static final class {{pascal .Code}} extends VegasException {
        private static final long serialVersionUID = 1L;

        public {{pascal .Code}}(String text, String remedy, boolean unknown, Throwable cause) {
            super({{quote .Code}}, text, remedy, unknown, cause);
        }

        public {{pascal .Code}}(String text, String remedy) {
            this(text, remedy, false, null);
        }
    }
{{end}}}
`

const javaOptionsText = `
{{- define "options"}}// {{header}}

package io.libvegas;

import io.libvegas.internal.Spec;
import java.time.Duration;

/** Options of a {@link {{pascal .Of}}}. What is not set, or set to null, is the default. */
public final class {{pascal .Of}}Options {
    final Options options = new Options({{quote (pascal .Of)}}, Spec.{{upper .Of}});

    {{pascal .Of}}Options() {}
{{range .All}}{{if settable .}}{{if .Words}}
    /** What {@link #{{camel .Name}}} takes. */
    public enum {{pascal .Name}} {
        {{range $i, $w := .Words}}{{if $i}}, {{end}}{{upper $w}}{{end}}
    }
{{end}}
    /**
{{comment "     * " .Doc}}
     {{- with default .}}
     * The default is {{.}}.
     {{- end}}
     */
    public {{pascal $.Of}}Options {{camel .Name}}({{type .}} {{camel .Name}}) {
        options.put({{quote .Name}}, {{camel .Name}});
        return this;
    }
{{end}}{{end}}
{{- if eq .Of "consumer"}}
    /**
     * Where handlers run: for each shard one call at a time, with parallel so many. It
     * must not run them in the thread that gives them to it. The default are platform
     * threads of the library's own, as many as there are shards at work.
     */
    public ConsumerOptions executor(java.util.concurrent.Executor executor) {
        options.own("executor", executor);
        return this;
    }
{{end}}
    /**
     * An option by its name, as in fanOut or fan_out, for programs that read options from
     * a file. One that does not exist is a {@link VegasException.BadOption} that names the
     * one which was probably meant.
     */
    public {{pascal .Of}}Options set(String name, Object value) {
        options.set(name, value);
        return this;
    }
}
{{end}}`
