package main

import "text/template"

// cpp has a field for each option, and a class for each error, over what C has.
var cpp = language{
	spell: template.FuncMap{
		"type": cppType,
		// here are the options that a program can give.
		"here": func(o option) bool { return !o.Host || o.Type == "function" },
	},
	files: []file{{path: "bindings/cpp/include/vegas_spec.hpp", text: cppText}},
}

// cppFunctions are what options of the type function are.
var cppFunctions = map[string]string{
	"on_stats":    "std::function<void(std::string_view json)>",
	"dead_letter": "std::function<void(const Record &, std::string_view error)>",
	"external":    "std::function<std::optional<Position>(const Shard &)>",
}

func cppType(o option) string {
	switch o.Type {
	case "flag":
		return "std::optional<bool>"
	case "number":
		return "std::optional<int>"
	case "size":
		return "std::optional<std::uint64_t>"
	case "duration":
		return "std::optional<std::chrono::microseconds>"
	case "function":
		return cppFunctions[o.Name]
	}
	return "std::optional<std::string>"
}

const cppText = `// {{header}}
#ifndef VEGAS_SPEC_HPP
#define VEGAS_SPEC_HPP

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "vegas.h"

namespace vegas {

class Record;
class Shard;
/// Behind which record a shard is read.
struct Position {
	std::string sequence;
	std::int64_t sub_sequence = 0;
};

/// What went wrong, and what to do about it.
class Error : public std::runtime_error {
public:
	explicit Error(const vegas_error &e)
		: std::runtime_error(*e.remedy ? std::string(e.text) + ": " + e.remedy : std::string(e.text)),
		  code_(e.code), unknown_(e.unknown != 0), text_(e.text), remedy_(e.remedy) {}

	vegas_code code() const noexcept { return code_; }
	/// The message without the remedy.
	const std::string &text() const noexcept { return text_; }
	/// What to do, or nothing.
	const std::string &remedy() const noexcept { return remedy_; }
	/// Whether the record may be in the stream all the same.
	bool unknown() const noexcept { return unknown_; }

private:
	vegas_code code_;
	bool unknown_;
	std::string text_, remedy_;
};
{{range .Errors}}
/// {{.Doc}}
class {{pascal .Code}}Error : public Error {
public:
	using Error::Error;
};
{{end}}
namespace detail {

/// The exception of an error, by its code.
inline std::exception_ptr exception(const vegas_error &e) {
	switch (e.code) {
{{- range .Errors}}
	case VEGAS_{{upper .Code}}: return std::make_exception_ptr({{pascal .Code}}Error(e));
{{- end}}
	default: return std::make_exception_ptr(FailedError(e));
	}
}

} // namespace detail
{{template "options" (options "producer" .Producer)}}
{{- template "options" (options "consumer" .Consumer)}}
} // namespace vegas

#endif
{{define "options"}}
/// Options of a {{pascal .Of}}; what is not given is as the library has it.
struct {{pascal .Of}}Options {
{{- range .All}}{{if here .}}
{{comment "\t/// " .Doc}}
	{{type .}} {{.Name}}{{if ne .Type "function"}} = std::nullopt{{end}};
{{- end}}{{end}}

	/// Further ones by their names, as vegas_options_set takes them: {"linger", "5ms"}.
	std::map<std::string, std::string> by_name;

	/// Calls set(name, value) for each option that crosses and is given.
	template <class Set> void each(const Set &set) const {
{{- range .All}}{{if and (here .) (ne .Type "function")}}
		if ({{.Name}}) set("{{.Name}}", *{{.Name}});
{{- end}}{{end}}
		for (const auto &[name, value] : by_name) set(name.c_str(), value);
	}
};
{{end}}`
