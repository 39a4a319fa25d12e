package main

import (
	"fmt"
	"strings"
	"text/template"
)

// csharp has a type of its own for durations, and makes enumerations of words.
var csharp = language{
	spell: template.FuncMap{
		"type": csharpType, "value": csharpValue, "enums": csharpEnums, "access": csharpAccess, "name": csharpName, "exception": csharpException,
	},
	named: pascal, words: pascal,
	files: []file{{path: "bindings/dotnet/Libvegas/Spec.cs", text: csharpText}},
}

// csharpFunctions are the delegates that options of type function take.
var csharpFunctions = map[string]string{
	"on_stats":    "Action<IReadOnlyDictionary<string, object?>>?",
	"dead_letter": "Func<Record, HandlerException, Task>?",
	"external":    "Func<Shard, Task<Position?>>?",
}

func csharpType(o option) string {
	switch o.Type {
	case "flag":
		return "bool"
	case "number":
		return "int"
	case "size":
		return "long"
	case "duration":
		return "TimeSpan"
	case "word":
		return csharpName(o)
	case "start":
		return "Start"
	case "list":
		return "IReadOnlyList<IReadOnlyDictionary<string, object?>>"
	case "function":
		if f, ok := csharpFunctions[o.Name]; ok {
			return f
		}
		return "Delegate?"
	}
	return "string"
}

// csharpName is that of a property, and of the enumeration of its words.
func csharpName(o option) string {
	if o.Type == "word" && !strings.Contains(o.Name, "_") {
		return pascal(o.Name) + "Mode" // apart from the verb
	}
	return pascal(o.Name)
}

// csharpException is the class of an error's code.
func csharpException(code string) string {
	if code == "timeout" {
		return "VegasTimeoutException" // System has a TimeoutException
	}
	return pascal(code) + "Exception"
}

// csharpAccess hides what the binding itself gives.
func csharpAccess(o option) string {
	if o.Name == "batch" {
		return "internal"
	}
	return "public"
}

func csharpValue(o option) string {
	switch v := o.Value.(type) {
	case string:
		switch o.Type {
		case "word":
			return csharpName(o) + "." + pascal(v)
		case "start":
			return "Start." + pascal(v)
		}
		return quote(v)
	case int64:
		switch o.Type {
		case "duration":
			return fmt.Sprintf("TimeSpan.FromTicks(%d)", v*10)
		case "size":
			return fmt.Sprintf("%dL", v)
		}
		return fmt.Sprint(v)
	case bool:
		return fmt.Sprint(v)
	case []any:
		return "new IReadOnlyDictionary<string, object?>[0]"
	}
	return "null"
}

// csharpEnums are the options of words among all.
func csharpEnums(lists ...[]option) []option {
	var enums []option
	for _, list := range lists {
		for _, o := range list {
			if o.Type == "word" {
				enums = append(enums, o)
			}
		}
	}
	return enums
}

const csharpText = `// {{header}}

using System;
using System.Collections.Generic;
using System.Threading.Tasks;

namespace Libvegas
{
    /// <summary>Numbers of the bridge protocol.</summary>
    internal static class Spec
    {
        public const int Protocol = {{.Protocol}};
        public const int FrameBytes = {{.FrameBytes}};
        public const int ValueDepth = {{.ValueDepth}};
        public const int ValueBytes = {{.ValueBytes}};
        public const int KeyCharacters = {{.KeyCharacters}};
        public const int KeyBytes = {{.KeyBytes}};
        public const long HelloTimeout = {{.HelloTimeout}}; // microseconds

        // Kinds of frames.
{{- range .Frames.InOrder}}
        public const byte Kind{{pascal .Name}} = {{.N}};
{{- end}}

        // What a report says of a record.
{{- range .Statuses.InOrder}}
        public const byte Status{{pascal .Name}} = {{.N}};
{{- end}}

        // Methods of calls.
{{- range .Methods}}
        public const string Method{{pascal .}} = {{quote .}};
{{- end}}
    }

    /// <summary>Why the engine stops a shard.</summary>
    public enum StopReason : byte
    {
        /// <summary>It does not.</summary>
        None = 0,
{{- range .Reasons.InOrder}}
        /// <summary>{{.Name}}</summary>
        {{pascal .Name}} = {{.N}},
{{- end}}
        /// <summary>The engine itself has ended; records come again.</summary>
        EngineGone = 255,
    }
{{range enums .Producer .Consumer}}
    /// <summary>{{.Doc}}</summary>
    public enum {{name .}}
    {
{{- range .Words}}
        /// <summary>{{.}}</summary>
        {{pascal .}},
{{- end}}
    }
{{end}}
{{- template "options" (options "producer" .Producer)}}
{{- template "options" (options "consumer" .Consumer)}}
    public partial class VegasException
    {
        /// <summary>The exception of a code; one that this release does not know is a FailedException.</summary>
        internal static VegasException Of(string? code, string text, string? remedy = null, bool unknown = false, Exception? cause = null)
        {
            switch (code)
            {
{{- range .Errors}}
                case {{quote .Code}}: return new {{exception .Code}}(text, remedy, unknown, cause);
{{- end}}
                default: return new FailedException(text, remedy, unknown, cause);
            }
        }
    }
{{range .Errors}}
    /// <summary>{{.Doc}}</summary>
    public sealed class {{exception .Code}} : VegasException
    {
        /// <summary>An exception with what is wrong, what to do about it, and whether the record may be in the stream all the same.</summary>
        public {{exception .Code}}(string text, string? remedy = null, bool unknown = false, Exception? cause = null)
            : base({{quote .Code}}, text, remedy, unknown, cause)
        {
        }
    }
{{end}}}
{{define "options"}}
    /// <summary>Options of a {{pascal .Of}}, filled with their defaults. Sizes are bytes.</summary>
    public sealed class {{pascal .Of}}Options : VegasOptions
    {
        internal static readonly IReadOnlyDictionary<string, Option> Table = VegasOptions.TableOf(
{{- range $i, $o := .All}}{{if $i}},{{end}}
            new Option({{quote .Name}}, {{quote .Type}}, {{value .}}, {{.Host}}{{range .Words}}, {{quote .}}{{end}})
{{- end}});

        internal {{pascal .Of}}Options()
            : base({{quote (pascal .Of)}}, Table)
        {
        }
{{range .All}}
        /// <summary>{{.Doc}}</summary>
        {{access .}} {{type .}} {{pascal .Name}}
        {
            get => ({{type .}})Get({{quote .Name}})!;
            set => Set({{quote .Name}}, value);
        }
{{end}}    }
{{end}}`
