package main

import (
	"fmt"
	"strings"
	"text/template"
)

// ruby counts durations in seconds. A word is a symbol or a string.
var ruby = language{
	spell: template.FuncMap{"value": rubyValue, "single": single, "list": rubyWords},
	files: []file{{path: "bindings/ruby/lib/vegas/spec.rb", text: rubyText}},
}

func rubyValue(o option) string {
	switch v := o.Value.(type) {
	case string:
		if o.Type == "word" || o.Type == "start" {
			return ":" + v
		}
		return single(v)
	case int64:
		if o.Type == "duration" {
			return seconds(o)
		}
		return fmt.Sprint(v)
	case bool, []any:
		return fmt.Sprint(v)
	}
	return "nil"
}

func rubyWords(o option) string {
	return "%w[" + strings.Join(o.Words, " ") + "]"
}

const rubyText = `# frozen_string_literal: true

# {{header}}

module Vegas
  # Numbers and options of the bridge protocol.
  module Spec
    PROTOCOL = {{.Protocol}}
    FRAME_BYTES = {{.FrameBytes}}
    VALUE_DEPTH = {{.ValueDepth}}
    VALUE_BYTES = {{.ValueBytes}}
    KEY_CHARACTERS = {{.KeyCharacters}}
    KEY_BYTES = {{.KeyBytes}}
    HELLO_TIMEOUT = {{.HelloTimeout}} # microseconds

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
    METHOD_{{upper .}} = {{single .}}
{{- end}}

    # An option: its type and default, in this language's terms. The engine never
    # hears of those that are the host's.
    Option = Struct.new(:name, :type, :default, :words, :host, :doc, keyword_init: true)
{{template "options" (options "producer" .Producer)}}
{{- template "options" (options "consumer" .Consumer)}}  end

  # What went wrong, and what to do about it.
  class VegasError < StandardError
    # The message without the remedy.
    attr_reader :text
    # What to do, or nil.
    attr_reader :remedy

    def initialize(text = nil, remedy: nil, unknown: false)
      super(remedy ? "#{text}: #{remedy}" : text)
      @text = text || message
      @remedy = remedy
      @unknown = unknown
    end

    # Whether the record may be in the stream all the same.
    def unknown?
      @unknown
    end

    # One of those in ERRORS.
    def code
      self.class::CODE
    end

    CODE = 'failed'
  end
{{range .Errors}}
{{comment "  # " .Doc}}
  class {{pascal .Code}}Error < VegasError
    CODE = {{single .Code}}
  end
{{end}}
  # Classes of errors by their codes.
  ERRORS = {
{{- range .Errors}}
    {{single .Code}} => {{pascal .Code}}Error,
{{- end}}
  }.freeze
end
{{define "options"}}
    # Options of a {{pascal .Of}}.
    {{upper .Of}}_OPTIONS = [
    {{- range .All}}
      Option.new(
        name: :{{.Name}}, type: :{{.Type}}, default: {{value .}}, words: {{list .}}, host: {{.Host}},
        doc: {{single .Doc}}
      ),
    {{- end}}
    ].to_h { |o| [o.name, o.freeze] }.freeze
{{end}}`
